//! What went over the wire, without secrets.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

/// Longer lines are cut.
const LONGEST: usize = 1500;
/// Later lines are dropped.
const MOST: usize = 2000;
/// Fields whose values never get into a report.
const SECRET: [&str; 7] = [
    "password",
    "confirmPassword",
    "currentPassword",
    "newPassword",
    "accessToken",
    "refreshToken",
    "token",
];

/// Lines with the milliseconds since the case began.
#[derive(Debug)]
pub struct Transcript {
    started: Instant,
    lines: Mutex<Vec<String>>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            lines: Mutex::default(),
        }
    }
}

impl Transcript {
    pub fn note(&self, line: &str) {
        let at = self.started.elapsed().as_millis();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            let cut: String = line.chars().take(LONGEST).collect();
            let more = if cut.len() < line.len() { " … (cut)" } else { "" };
            lines.push(format!("{at:>5} ms  {cut}{more}"));
        }
    }

    pub fn len(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A JSON text with secrets masked; what is not JSON is shown as it is.
pub(super) fn masked(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            mask(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

pub(super) fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if SECRET.contains(&name.as_str()) && member.as_str().is_some_and(|text| !text.is_empty()) {
                    *member = "•••".into();
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_get_in() {
        let line =
            masked(r#"{"user":{"username":"ann"},"tokens":{"accessToken":"abc","tokenType":"Bearer"},"password":"p"}"#);
        assert!(!line.contains("abc") && !line.contains("\"p\""), "{line}");
        assert!(line.contains("ann") && line.contains("Bearer"));
    }

    #[test]
    fn long_lines_are_cut() {
        let transcript = Transcript::default();
        transcript.note(&"ä".repeat(5000));
        assert!(transcript.lines()[0].chars().count() < 1600);
    }
}
