//! How long files and functions are. The longest are told on every run; only the hard bounds fail.

use std::path::PathBuf;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::assert_none;
use super::text::{RustFile, rust_files};

/// Most files hold 100–300 lines and few pass 500; at this many, tests left out, a file is about two things.
const FILE_LINES: usize = 800;
/// Functions are mostly 5–15 lines and few pass 70; nobody reads more than this in one go.
const FUNCTION_LINES: usize = 120;
/// How many of the longest are told.
const TOLD: usize = 12;

struct Size {
    lines: usize,
    path: PathBuf,
    what: String,
}

#[test]
fn files_stay_short() {
    let product = rust_files().into_iter().filter(RustFile::is_product);
    let sizes = product
        .map(|file| {
            let lines = file.text.lines().count() - test_lines(&file.syntax);
            Size { lines, path: file.path, what: String::from("lines without tests") }
        })
        .collect();
    check(sizes, FILE_LINES, "Split the file where its subject changes.");
}

#[test]
fn functions_stay_short() {
    let mut sizes = Vec::new();
    for file in rust_files() {
        let mut functions = Functions { path: &file.path, sizes: &mut sizes };
        functions.visit_file(&file.syntax);
    }
    check(sizes, FUNCTION_LINES, "Give the function's steps names of their own.");
}

fn check(mut sizes: Vec<Size>, bound: usize, what_to_do: &str) {
    sizes.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.path.cmp(&b.path)));
    let told: Vec<String> = sizes.iter().map(|s| format!("{:5}  {}  {}", s.lines, s.path.display(), s.what)).collect();
    eprintln!("longest (bound {bound}):");
    told.iter().take(TOLD).for_each(|line| eprintln!("{line}"));
    let over = sizes.iter().take_while(|size| size.lines > bound).count();
    assert_none(&told[..over], what_to_do);
}

fn lines_of(spanned: &impl Spanned) -> usize {
    let span = spanned.span();
    span.end().line - span.start().line + 1
}

/// The lines that `#[cfg(test)]` items take.
fn test_lines(file: &syn::File) -> usize {
    let modules = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if is_test_only(&module.attrs) => Some(module),
        _ => None,
    });
    modules.map(lines_of).sum()
}

/// Whether the attributes hold `#[cfg(test)]`, alone or in an `all(…)`.
pub(super) fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test") || condition.starts_with("all(test")
            })
    })
}

struct Functions<'a> {
    path: &'a PathBuf,
    sizes: &'a mut Vec<Size>,
}

impl Functions<'_> {
    /// Counts from the signature to the closing brace: a long doc comment is no long function.
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.sizes.push(Size { lines, path: self.path.clone(), what: format!("fn {}", signature.ident) });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
