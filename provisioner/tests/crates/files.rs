//! Files are opened by `durable-files` alone: it has limits of size and time, follows no link where none may be, and knows who
//! may read what.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What opens, makes, moves or removes files and folders.
const FORBIDDEN: [&str; 24] = [
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::read_dir(",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::remove_file(",
    "fs::remove_dir(",
    "fs::remove_dir_all(",
    "fs::rename(",
    "fs::copy(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "fs::File::",
    "File::open(",
    "File::create(",
    "File::create_new(",
    "File::options(",
    "OpenOptions",
    "DirBuilder",
    "read_dir(",
    "NamedTempFile",
    "tempfile::",
    "generate_to(",
];

/// The crates of the program, and the one that opens files.
const CRATES: [&str; 6] = [
    "provisioner",
    "provisioner/account",
    "provisioner/files",
    "provisioner/kit",
    "provisioner/pki",
    "lambda",
];
const OPENER: &str = "provisioner/files";

/// Where one of these is used all the same, and why.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "provisioner/src/cli/completions.rs",
    "generate_to(",
    "the library that makes man pages writes them itself, into a folder that is named; a hidden command for packagers",
)];

/// Source without comments, white space and code for tests.
fn condensed(tokens: TokenStream, text: &mut String) {
    let mut tokens: &[TokenTree] = &tokens.into_iter().collect::<Vec<_>>();
    loop {
        tokens = match tokens {
            [] => return,
            [TokenTree::Punct(hash), TokenTree::Group(attribute), item @ ..]
                if hash.as_char() == '#' && attribute.stream().to_string().starts_with("cfg (test") =>
            {
                let ends = |token: &TokenTree| match token {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    token => token.to_string() == ";",
                };
                &item[item.iter().position(ends).map_or(item.len(), |at| at + 1)..]
            }
            [TokenTree::Group(group), rest @ ..] => {
                text.push(match group.delimiter() {
                    Delimiter::Parenthesis => '(',
                    _ => ' ',
                });
                condensed(group.stream(), text);
                text.push(' ');
                rest
            }
            [TokenTree::Literal(_), rest @ ..] => {
                text.push(' ');
                rest
            }
            [TokenTree::Ident(name), rest @ ..] => {
                if text.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
                    text.push(' ');
                }
                text.push_str(&name.to_string());
                rest
            }
            [token, rest @ ..] => {
                text.push_str(&token.to_string());
                rest
            }
        };
    }
}

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn forbidden_in(source: &str) -> Vec<&'static str> {
    let mut text = String::new();
    condensed(source.parse().unwrap(), &mut text);
    FORBIDDEN.into_iter().filter(|call| text.contains(call)).collect()
}

#[test]
fn a_call_is_found_in_code_and_not_in_tests_or_texts() {
    let code = "fn f() { let _ = std :: fs :: read ( path ); /* fs::write( */ println!(\"fs::write(\"); }";
    assert_eq!(forbidden_in(code), ["fs::read("]);
    assert_eq!(forbidden_in("#[cfg(test)] mod tests { fn f() { std::fs::read(p); } } fn g() {}"), [""; 0]);
    assert_eq!(forbidden_in("use std::fs::File; fn f() { File::open(p); }"), ["File::open("]);
}

#[test]
fn only_the_crate_for_files_opens_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut seen, mut wrong, mut opener_is_seen) = (Vec::new(), Vec::new(), false);
    for name in CRATES {
        let mut files = Vec::new();
        sources(&root.join(name).join("src"), &mut files);
        assert!(!files.is_empty(), "{name} has no sources");
        for file in files {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            for call in forbidden_in(&std::fs::read_to_string(&file).unwrap()) {
                if name == OPENER {
                    opener_is_seen = true;
                } else if let Some(exception) =
                    EXCEPTIONS.iter().find(|(file, allowed, _)| *file == path && *allowed == call)
                {
                    seen.push(exception);
                } else {
                    wrong.push(format!("{path}: {call}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "use durable_files for:\n{}", wrong.join("\n"));
    assert!(opener_is_seen, "nothing was found where files are opened");
    assert_eq!(seen.len(), EXCEPTIONS.len(), "an exception is not needed any more");
}
