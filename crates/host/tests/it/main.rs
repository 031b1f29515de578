//! What touches the machine, tried on the machine.

mod process;
mod rsync_filters;
mod store;
mod store_atomic;
mod store_changing;
mod store_full;
mod store_kept;
mod store_partials;
mod store_paths;
mod store_power;
mod store_power_kept;
mod store_protected;
mod store_replaced;
mod store_shapes;
mod store_source;
mod store_trees;
mod tree_ends;
