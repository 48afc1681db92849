//! The layers of the crate `provisioner`: the modules that each file names in its paths.
//!
//! A path counts wherever it begins with `crate`, `super` or `self`: in a `use`, in code, in the arguments of a macro. Code for
//! tests does not count. A name that a layer re-exports counts as the module that it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{assert_contributing_shows, picture};

/// Each layer may use those behind it.
const LAYERS: [&str; 4] = ["cli", "work", "state", "contract"];

/// Modules that still use one another in a circle. Nothing may be added here.
const KNOWN_CIRCLES: [&[&str]; 2] = [&["batch", "provision"], &["context", "passphrase", "prompt"]];

/// Each module and the modules that it uses, as paths from the root of the crate.
type Uses = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// Reads the paths in the source of one module.
struct Reader<'a> {
    /// The module, as a path from the root of the crate.
    module: Vec<String>,
    found: &'a mut BTreeSet<Vec<String>>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let mut tokens: &[TokenTree] = &tokens.into_iter().collect::<Vec<_>>();
        loop {
            tokens = match tokens {
                [] => return,
                [TokenTree::Punct(hash), TokenTree::Group(attribute), item @ ..]
                    if hash.as_char() == '#' && attribute.stream().to_string() == "cfg (test)" =>
                {
                    let ends = |token: &TokenTree| match token {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        token => is(token, ";"),
                    };
                    &item[item.iter().position(ends).map_or(item.len(), |at| at + 1)..]
                }
                [first, TokenTree::Ident(name), rest @ ..]
                    if is(first, "use") && !is_anchor(&name.to_string()) =>
                {
                    let module = self.module.clone();
                    self.tree(module, &tokens[1..])
                }
                [TokenTree::Ident(anchor), colon, _, ..]
                    if is(colon, ":") && is_anchor(&anchor.to_string()) =>
                {
                    self.tree(Vec::new(), tokens)
                }
                [TokenTree::Group(group), rest @ ..] => {
                    self.read(group.stream());
                    rest
                }
                [_, rest @ ..] => rest,
            };
        }
    }

    /// Reads a path, and those that branch from it in braces. Returns the tokens behind it.
    fn tree<'t>(&mut self, mut path: Vec<String>, mut tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        while let [first, rest @ ..] = tokens {
            match first {
                TokenTree::Ident(name) => match name.to_string().as_str() {
                    "crate" => path.clear(),
                    "self" if path.is_empty() => path.clone_from(&self.module),
                    "self" => {}
                    "super" => {
                        if path.is_empty() {
                            path.clone_from(&self.module);
                        }
                        path.pop();
                    }
                    name => path.push(name.to_owned()),
                },
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is(token, ",")) {
                        self.tree(path.clone(), branch);
                    }
                    return rest;
                }
                _ => break,
            }
            tokens = rest;
            match rest {
                [one, two, rest @ ..] if is(one, ":") && is(two, ":") => tokens = rest,
                _ => break,
            }
        }
        self.found.insert(path);
        tokens
    }
}

fn is(token: &TokenTree, text: &str) -> bool {
    !matches!(token, TokenTree::Group(_)) && token.to_string() == text
}

fn is_anchor(name: &str) -> bool {
    matches!(name, "crate" | "super" | "self")
}

/// What every file below `folder` names, tests left out.
fn read_folder(folder: &Path, module: &[String], uses: &mut Uses) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = [module, std::slice::from_ref(&name)].concat();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            read_folder(&path, &module, uses);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let found = uses.entry(module.clone()).or_default();
            Reader { module, found }.read(source.parse().unwrap());
        }
    }
}

/// The layers, their modules, and what each of these uses: a layer alone, or a module of a layer.
fn uses_of_modules() -> Uses {
    let mut files = Uses::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut files);
    files.retain(|module, _| LAYERS.contains(&module[0].as_str()));
    let is_module = |path: &[String]| files.contains_key(path);
    // `state::Error` is the module `state::error`, by `pub use error::Error` in `state`.
    let exported: BTreeMap<Vec<String>, Vec<String>> = LAYERS
        .iter()
        .flat_map(|layer| files[&vec![(*layer).to_owned()]].iter())
        .filter(|path| path.len() == 3 && is_module(&path[..2]))
        .map(|path| (vec![path[0].clone(), path[2].clone()], path[..2].to_vec()))
        .collect();
    let mut uses = Uses::new();
    for (file, paths) in &files {
        let module = file[..file.len().min(2)].to_vec();
        for path in
            paths.iter().filter(|path| path.first().is_some_and(|layer| LAYERS.contains(&layer.as_str())))
        {
            let path = path[..path.len().min(2)].to_vec();
            let used = match exported.get(&path) {
                Some(module) => module.clone(),
                None if is_module(&path) => path,
                None => path[..1].to_vec(),
            };
            if used != module {
                uses.entry(module.clone()).or_default().insert(used);
            }
        }
    }
    uses
}

/// The layers that each layer uses.
fn uses_of_layers(uses: &Uses) -> Vec<(&'static str, Vec<&'static str>)> {
    let uses_layer = |from: &str, to: &str| {
        from != to
            && uses.iter().any(|(module, used)| module[0] == from && used.iter().any(|used| used[0] == to))
    };
    LAYERS.map(|from| (from, LAYERS.into_iter().filter(|to| uses_layer(from, to)).collect())).to_vec()
}

/// The modules of a layer, and those that each of them uses, by itself or by others.
fn reach<'a>(uses: &'a Uses, layer: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let inside = |path: &&Vec<String>| path.len() == 2 && path[0] == layer;
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = uses
        .iter()
        .filter(|(module, _)| inside(module))
        .map(|(module, used)| {
            (module[1].as_str(), used.iter().filter(inside).map(|used| used[1].as_str()).collect())
        })
        .collect();
    loop {
        let before = reach.clone();
        for used in reach.values_mut() {
            let further: Vec<&str> =
                used.iter().filter_map(|used| before.get(used)).flatten().copied().collect();
            used.extend(further);
        }
        if reach == before {
            return reach;
        }
    }
}

#[test]
fn a_path_is_found_wherever_it_stands() {
    let source = "
        use crate::cli::{Context, context::{self, joined as join}};
        use super::super::cli;
        use error::Error;
        fn print() { let _ = crate::state::now(); println!(\"{}\", [self::name(), super::store::name()]); }
        #[cfg(test)]
        mod tests { use crate::left::out; }
        pub(in crate::work) fn last() -> super::Last { /* crate::comment */ \"crate::text\" }
    ";
    let mut found = BTreeSet::new();
    let module = vec!["work".to_owned(), "station".to_owned()];
    Reader { module, found: &mut found }.read(source.parse().unwrap());
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    let expected = [
        "cli",
        "cli::Context",
        "cli::context",
        "cli::context::joined",
        "state::now",
        "work",
        "work::Last",
        "work::station::error::Error",
        "work::station::name",
        "work::store::name",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_layer_uses_only_layers_below_it() {
    let uses = uses_of_modules();
    assert!(uses.len() > 20, "too few modules were found: {uses:?}");
    for (module, used) in &uses {
        let place = |path: &[String]| LAYERS.iter().position(|layer| *layer == path[0]);
        for other in used {
            assert!(
                place(module) <= place(other),
                "{} uses {}, which is in a layer above it",
                module.join("::"),
                other.join("::")
            );
        }
    }
}

#[test]
fn contributing_shows_the_layers_as_they_are() {
    assert_contributing_shows(&picture(&uses_of_layers(&uses_of_modules())));
}

#[test]
fn modules_of_a_layer_use_one_another_in_no_circle() {
    let uses = uses_of_modules();
    for layer in LAYERS {
        println!("{layer}:");
        for (module, used) in uses.iter().filter(|(module, _)| module.len() == 2 && module[0] == layer) {
            let used: Vec<&str> = used
                .iter()
                .filter(|used| used[0] == layer)
                .map(|used| used[used.len() - 1].as_str())
                .collect();
            println!("  {:<13} → {}", module[1], used.join(", "));
        }
        let reach = reach(&uses, layer);
        for (module, reached) in reach.iter().filter(|(module, reached)| reached.contains(*module)) {
            let circle: Vec<&str> = reached
                .iter()
                .filter(|other| reach.get(*other).is_some_and(|reached| reached.contains(module)))
                .copied()
                .collect();
            let known = KNOWN_CIRCLES.iter().any(|known| circle.iter().all(|module| known.contains(module)));
            assert!(known, "modules of {layer} use one another in a circle: {}", circle.join(", "));
        }
    }
}
