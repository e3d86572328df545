//! A command as reports show it: without secrets.

use std::ffi::OsString;

use crate::engine::transcript::MASK;

/// Whose name has one of these is a secret.
const SECRET: [&str; 6] = ["secret", "pass", "pwd", "token", "key", "credential"];

/// Whether a variable or a flag of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// The words of a command. Values of secret variables and flags are masked, and whoever logs in by an address; also inside of a
/// word that is a script.
pub(super) fn command(words: &[OsString]) -> String {
    let mut shown = Vec::with_capacity(words.len());
    let mut is_value = false;
    for word in words {
        let word = word.to_string_lossy();
        shown.push(
            match is_value || is_assignment(&word) || !word.contains(char::is_whitespace) {
                true => masked(&word, &mut is_value),
                false => script(&word),
            },
        );
    }
    shown.join(" ")
}

/// Whether a word is nothing but `NAME=value` or `--flag=value` of a secret.
fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    is_secret(name) && !name.contains(char::is_whitespace)
}

/// A script word by word, as a shell would split it.
fn script(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut is_value) = (text, false);
    while let Some(first) = rest.chars().next() {
        let between = is_between(first);
        let (word, behind) = rest.split_at(if between { first.len_utf8() } else { word_ends(rest) });
        match between {
            true => shown.push_str(word),
            false => shown.push_str(&masked(word, &mut is_value)),
        }
        rest = behind;
    }
    shown
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || ";&|()".contains(c)
}

/// Where the first word ends; what is quoted does not end it.
fn word_ends(text: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if is_between(c) => return at,
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// One word; whether the next one is the value of a secret.
fn masked(word: &str, is_value: &mut bool) -> String {
    if std::mem::take(is_value) {
        return MASK.to_owned();
    }
    *is_value = word.starts_with('-') && is_secret(word) && !word.contains('=');
    without_login(&without_value(word))
}

/// `NAME=•••` of `NAME=secret` and of `--env=NAME=secret`.
fn without_value(word: &str) -> String {
    let mut begin = 0;
    for (end, _) in word.match_indices('=') {
        if is_secret(&word[begin..end]) {
            return format!("{}={MASK}", &word[..end]);
        }
        begin = end + 1;
    }
    word.to_owned()
}

/// `mongodb://•••@host` of `mongodb://ann:secret@host`, wherever it stands in a word.
fn without_login(word: &str) -> String {
    let Some((before, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let host_ends = rest.find(['/', '?', '#', ',']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(host_ends);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{host}"),
        None => authority.to_owned(),
    };
    format!("{before}://{host}{}", without_login(behind))
}

/// What somebody logs in with, when a value is such an address.
pub(super) fn login(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    Some(login.split_once(':').map_or(login, |(_, password)| password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        command(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_is_shown_without_its_secrets() {
        for (said, expected) in [
            ("node server.js --port {port}", "node server.js --port {port}"),
            ("env JWT_SECRET=abc node x.js", "env JWT_SECRET=••• node x.js"),
            ("chat --jwt-secret abc --port 1", "chat --jwt-secret ••• --port 1"),
            ("chat --jwt-secret=abc --port 1", "chat --jwt-secret=••• --port 1"),
            (
                "chat --db mongodb://ann:pw@db:27017/chat?w=1",
                "chat --db mongodb://•••@db:27017/chat?w=1",
            ),
            ("chat http://127.0.0.1/a@b", "chat http://127.0.0.1/a@b"),
            ("docker run --env=DB_PASS=abc chat", "docker run --env=DB_PASS=••• chat"),
            ("a=redis://:p@h,redis://:q@i", "a=redis://•••@h,redis://•••@i"),
        ] {
            assert_eq!(shown(&said.split(' ').collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn a_secret_is_masked_to_its_end() {
        for words in [
            &[
                "sh",
                "-c",
                "cd x && A=1 JWT_SECRET='X X' node x --db-pwd \"X X\" --port 1",
            ][..],
            &["sh", "-c", r#"cd x; A_SECRET="X\"X X" node --port 1"#],
            &["sh", "-c", "cd x; A_SECRET=X'X X' node --port 1"],
            &["env", "JWT_SECRET=X&X(X X", "node --port 1"],
            &["node --port 1", "--jwt-secret", "X X"],
            &["node --port 1", "--db", "mongodb://ann:X(X@db"],
        ] {
            let shown = shown(words);
            assert!(!shown.contains('X') && shown.contains("--port 1"), "{shown}");
        }
    }

    #[test]
    fn a_login_is_found_in_an_address() {
        assert_eq!(login("mongodb://ann:pw@db/chat"), Some("pw"));
        assert_eq!(login("redis://:pw@db"), Some("pw"));
        assert_eq!(login("http://127.0.0.1:3000/a@b"), None);
    }
}
