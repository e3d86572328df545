//! What a Rust file names. Read as tokens: comments and texts are none, and lists in braces are seen through.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The first name of a path, where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    pub line: usize,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Source {
    /// First names of paths from the root of the crate: `crate::a`, `$crate::a`, enough of `super::`; `*` for all of it.
    pub from_root: Vec<Named>,
    /// First names of other paths: a package, a child module, something imported.
    pub elsewhere: Vec<Named>,
    /// Modules declared here.
    pub modules: Vec<Named>,
}

impl Source {
    /// `depth`: how many modules deep the file is; 0 is the root of the crate.
    pub fn read(text: &str, depth: usize) -> Result<Self, Named> {
        let tokens: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| Named {
            name: error.to_string(),
            line: error.span().start().line,
        })?;
        let mut source = Self::default();
        source.walk(tokens, depth);
        Ok(source)
    }

    fn walk(&mut self, tokens: TokenStream, depth: usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Group(group) => self.walk(group.stream(), depth),
                TokenTree::Ident(word) if *word == "mod" => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                        self.modules.push(named(name));
                        at += 1;
                        if let Some(TokenTree::Group(body)) = tokens.get(at + 1) {
                            self.walk(body.stream(), depth + 1);
                            at += 1;
                        }
                    }
                }
                TokenTree::Ident(_) if is_path(&tokens, at) => {
                    at = self.path(&tokens, at, depth);
                    continue;
                }
                TokenTree::Ident(word) if matches!(tokens.get(at.wrapping_sub(1)), Some(TokenTree::Ident(u)) if *u == "use") =>
                {
                    self.elsewhere.push(named(word));
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Notes the path that begins at `at`. Returns where it ends.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, depth: usize) -> usize {
        let first = at;
        let word = |at: usize| match tokens.get(at) {
            Some(TokenTree::Ident(word)) => word.to_string(),
            _ => String::new(),
        };
        let mut ups = 0;
        while word(at) == "super" && is_path(tokens, at) {
            ups += 1;
            at += 3;
        }
        let to_root = if word(at) == "crate" && is_path(tokens, at) {
            at += 3;
            true
        } else {
            ups > 0 && ups >= depth
        };
        if to_root {
            self.from_root.extend(heads(tokens, at));
        } else if ups == 0
            && let Some(TokenTree::Ident(name)) = tokens.get(first)
        {
            self.elsewhere.push(named(name));
        }
        // What follows is the rest of this path: its names begin nothing, and neither do those in its braces.
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(_)) if is_path(tokens, at) => at += 3,
                Some(TokenTree::Group(group)) if at > first && group.delimiter() == Delimiter::Brace => return at + 1,
                Some(TokenTree::Ident(_)) => return at + 1,
                _ => return at,
            }
        }
    }
}

fn named(word: &proc_macro2::Ident) -> Named {
    Named {
        name: word.to_string(),
        line: word.span().start().line,
    }
}

/// Whether `::` follows the token.
fn is_path(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    matches!(tokens.get(at), Some(TokenTree::Ident(_))) && colon(at + 1) && colon(at + 2)
}

/// The next name of a path, or the first names of all the paths in its braces.
fn heads(tokens: &[TokenTree], at: usize) -> Vec<Named> {
    match tokens.get(at) {
        Some(TokenTree::Ident(name)) => vec![named(name)],
        Some(TokenTree::Punct(star)) if star.as_char() == '*' => vec![Named {
            name: "*".into(),
            line: star.span().start().line,
        }],
        Some(TokenTree::Group(list)) => {
            let tokens: Vec<TokenTree> = list.stream().into_iter().collect();
            let parts = tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
            parts
                .flat_map(|part| heads(part, 0))
                .filter(|head| head.name != "self")
                .collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(named: &[Named]) -> Vec<String> {
        named.iter().map(|n| format!("{}@{}", n.name, n.line)).collect()
    }

    #[test]
    fn every_way_to_name_a_module_is_seen() {
        let text = "\
            use crate::store::{self, Store};\n\
            use crate::{\n  chat::lists::{A, B},\n  Error,\n};\n\
            // use crate::comment::X;\n\
            pub(crate) fn f() -> crate::http::Peer { \"crate::text\"; super::super::socket::go() }\n\
            macro_rules! m { () => { $crate::auth::x() } }\n\
            mod tests { use super::*; use super::super::sibling; use super::super::super::app::App; }\n\
            use crate::*;\n";
        let source = Source::read(text, 2).unwrap();
        assert_eq!(
            shown(&source.from_root),
            [
                "store@1", "chat@3", "Error@4", "http@7", "socket@7", "auth@8", "app@9", "*@10"
            ]
        );
        assert_eq!(shown(&source.modules), ["tests@9"]);
    }

    #[test]
    fn packages_are_seen_but_not_the_rest_of_other_paths() {
        let text = "use axum::{http::X, body};\nuse rusqlite;\nfn f(x: socketioxide::A) { a.axum(); b::c::<tower::D>(); }\n\
                    use {serde::S, bytes::B};\n";
        let source = Source::read(text, 1).unwrap();
        let expected = [
            "axum@1",
            "rusqlite@2",
            "socketioxide@3",
            "b@3",
            "tower@3",
            "serde@4",
            "bytes@4",
        ];
        assert_eq!(shown(&source.elsewhere), expected);
        assert!(source.from_root.is_empty());
    }

    #[test]
    fn what_is_no_rust_is_said_with_its_line() {
        assert_eq!(Source::read("fn f() {}\nfn g( {\n", 1).unwrap_err().line, 2);
    }
}
