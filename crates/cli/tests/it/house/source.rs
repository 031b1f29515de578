//! What sources may say: names, `unsafe`, and what product code never contains.

use std::path::{Path, PathBuf};

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;

use super::assert_none;
use super::sizes::is_test_only;
use super::text::{RustFile, rust_files};

/// Drawers: names under which nobody finds anything.
const DRAWERS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];
/// How far above `unsafe` its reason may begin.
const SAFETY_REACH: usize = 10;

#[test]
fn no_file_is_a_drawer() {
    let is_drawer = |part: &Path| part.file_stem().is_some_and(|stem| DRAWERS.iter().any(|drawer| stem == *drawer));
    let broken: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| file.path.components().any(|part| is_drawer(part.as_os_str().as_ref())))
        .map(|file| file.path.display().to_string())
        .collect();
    assert_none(&broken, "Name the file after the one thing that it is about.");
}

#[test]
fn no_module_is_a_drawer() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let modules = file.syntax.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        });
        let drawers = modules.filter(|name| DRAWERS.contains(&name.as_str()));
        broken.extend(drawers.map(|name| format!("{}: mod {name}", file.path.display())));
    }
    assert_none(&broken, "Name the module after the one thing that it is about.");
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let lines: Vec<&str> = file.text.lines().collect();
        each_ident(tokens_of(&file.syntax), &mut |ident, _| {
            if ident == "unsafe" && !has_reason(&lines, ident.span().start().line) {
                broken.push(format!("{}:{}", file.path.display(), ident.span().start().line));
            }
        });
    }
    assert_none(&broken, "Write a `// SAFETY:` line above it, or `# Safety` in an unsafe function's documentation.");
}

#[test]
fn nothing_is_left_to_do() {
    let mut broken = Vec::new();
    for file in product_files() {
        each_ident(tokens_of(&file.syntax), &mut |ident, is_macro| {
            if is_macro && (ident == "todo" || ident == "unimplemented" || ident == "dbg") {
                broken.push(format!("{}:{}: {ident}!", file.path.display(), ident.span().start().line));
            }
        });
    }
    assert_none(&broken, "Build it, or refuse it with a typed error.");
}

#[test]
fn libraries_print_nothing() {
    let mut broken = Vec::new();
    for file in product_files().filter(|file| !file.is_of("cli")) {
        each_ident(tokens_of(&without_tests(&file.syntax)), &mut |ident, is_macro| {
            if is_macro && ["print", "println", "eprint", "eprintln"].iter().any(|name| ident == name) {
                broken.push(format!("{}:{}: {ident}!", file.path.display(), ident.span().start().line));
            }
        });
    }
    assert_none(&broken, "Return a value or a tracing event; crates/cli prints it.");
}

#[test]
fn the_command_writes_to_its_standard_streams_in_one_way() {
    let mut broken = Vec::new();
    for file in product_files().filter(|file| file.is_of("cli") && !file.path.ends_with("standard.rs")) {
        let code = without_tests(&file.syntax);
        each_ident(tokens_of(&code), &mut |ident, is_macro| {
            if is_macro && ["print", "println", "eprint", "eprintln"].iter().any(|name| ident == name) {
                broken.push(format!("{}:{}: {ident}!", file.path.display(), ident.span().start().line));
            }
        });
        let code = tokens_of(&code).to_string().replace("stdio ::", "");
        let std = ["io :: stdout ()", "io :: stdin () . lock", "anstream :: stdout"];
        broken.extend(
            std.iter()
                .filter(|call| code.contains(*call))
                .map(|call| format!("{}: {}", file.path.display(), call.replace(' ', ""))),
        );
    }
    assert_none(
        &broken,
        "Use crate::standard and crate::complaint: std's macros panic on a closed pipe, and std takes a closed descriptor for an \
         empty or a willing one.",
    );
}

/// Files of the sans-IO crates that adapt them to an IO library, behind a feature.
fn is_adapter(path: &Path) -> bool {
    path.components().any(|part| {
        ["adapters", "adapter", "tokio", "io"]
            .iter()
            .any(|name| Path::new(part.as_os_str()).file_stem().is_some_and(|stem| stem == *name))
    })
}

#[test]
fn the_sans_io_crates_ask_neither_clock_nor_kernel() {
    let mut broken: Vec<String> = Vec::new();
    let sans_io =
        product_files().filter(|file| (file.is_of("frame") || file.is_of("proto")) && !is_adapter(&file.path));
    for file in sans_io {
        let code = tokens_of(&without_tests(&file.syntax)).to_string();
        let asked = ["std :: fs", "std :: net", "std :: thread", "std :: process", "Instant :: now", "SystemTime"];
        let asked = asked.iter().filter(|what| code.contains(**what));
        broken.extend(asked.map(|what| format!("{}: {}", file.path.display(), what.replace(' ', ""))));
    }
    assert_none(&broken, "Time, random bytes and IO are arguments of the sans-IO crates.");
}

#[test]
fn the_host_knows_the_protocols_plain_types_alone() {
    let broken: Vec<PathBuf> = product_files()
        .filter(|file| file.is_of("host") && tokens_of(&file.syntax).to_string().contains("unglue_proto :: mux"))
        .map(|file| file.path)
        .collect();
    assert!(broken.is_empty(), "{broken:?} import the multiplexer: only `unglue` joins host and protocol");
}

/// The crates of ours whose functions others call.
const LIBRARIES: [&str; 6] = ["unglue", "frame", "link", "identity", "host", "jobs"];

#[test]
fn each_async_function_says_what_dropping_it_does() {
    let mut broken = Vec::new();
    for file in product_files().filter(|file| LIBRARIES.iter().any(|library| file.is_of(library))) {
        let mut silent = Silent(Vec::new());
        silent.visit_file(&without_tests(&file.syntax));
        broken.extend(silent.0.into_iter().map(|name| format!("{}: {name}", file.path.display())));
    }
    assert_none(&broken, "Write what a call leaves behind that is dropped (or cancelled) before it returns.");
}

/// The public async functions whose documentation doesn't mention that they may be dropped.
struct Silent(Vec<String>);

impl Silent {
    fn look(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute], signature: &syn::Signature) {
        if matches!(visibility, syn::Visibility::Public(_)) && signature.asyncness.is_some() {
            let text = documentation(attributes).to_lowercase();
            if !text.contains("drop") && !text.contains("cancel") {
                self.0.push(signature.ident.to_string());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Silent {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.look(&function.vis, &function.attrs, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.look(&function.vis, &function.attrs, &function.sig);
    }
}

fn documentation(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    lines.map(|line| line.meta.to_token_stream().to_string()).collect()
}

fn product_files() -> impl Iterator<Item = RustFile> {
    rust_files().into_iter().filter(RustFile::is_product)
}

fn without_tests(file: &syn::File) -> syn::File {
    let mut file = file.clone();
    file.items.retain(|item| !matches!(item, syn::Item::Mod(module) if is_test_only(&module.attrs)));
    file
}

fn tokens_of(file: &syn::File) -> TokenStream {
    file.to_token_stream()
}

/// Calls `found` with every identifier, inside macros too, and whether a `!` follows it.
fn each_ident(tokens: TokenStream, found: &mut impl FnMut(&Ident, bool)) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => each_ident(group.stream(), found),
            TokenTree::Ident(ident) => {
                let bang = matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
                found(&ident, bang);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Whether the line (from 1) or those just above it give the reason.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let from = line.saturating_sub(SAFETY_REACH);
    lines[from..line].iter().any(|text| text.contains("SAFETY:") || text.contains("# Safety"))
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    let syntax =
        syn::parse_file("fn a() { // todo!() in a comment\n let s = \"unsafe\"; m!(unsafe { b() }); todo!() }");
    let mut seen = Vec::new();
    each_ident(tokens_of(&syntax.expect("parses")), &mut |ident, bang| seen.push((ident.to_string(), bang)));
    assert_eq!(seen.iter().filter(|(name, _)| name == "unsafe").count(), 1, "strings aren't code, macros' insides are");
    assert!(seen.contains(&(String::from("todo"), true)));
    assert!(has_reason(&["// SAFETY: alone here", "unsafe {}"], 2));
    assert!(!has_reason(&["// it's fine", "unsafe {}"], 2));
}
