//! The sticky-packet problem, shown: the tutorial's dialects.
