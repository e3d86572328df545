//! Case folding for search, over all of Unicode.

/// The text without case. Each scalar is folded by itself, so a part of a text folds to a part of the folded text.
pub(in crate::store) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // To upper case first: it unites what has two lower-case forms (σ and ς, ß and ss).
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn unites_all_cases() {
        for (one, other) in [
            ("ÄRGER", "ärger"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Straße", "STRASSE"),
            ("ПРИВЕТ", "привет"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
    }
}
