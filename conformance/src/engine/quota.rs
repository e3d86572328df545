//! `RateLimit` and `RateLimit-Policy`: structured lists of RFC 9651, whose items have a name and numbers.

use std::collections::BTreeMap;

use sfv::{List, ListEntry, Parser};

/// The whole numbers of each item, by their names; `None` when it is no list, or an item has no name. Whatever else an item has
/// is left to the server.
pub fn quotas(field: &str) -> Option<Vec<BTreeMap<String, u64>>> {
    let list: List = Parser::new(field).parse().ok()?;
    let numbers = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else { return None };
        item.bare_item.as_string()?;
        let numbers = item.params.iter().filter_map(|(name, value)| {
            let number = u64::try_from(i64::from(value.as_integer()?)).ok()?;
            Some((name.as_str().to_owned(), number))
        });
        Some(numbers.collect())
    };
    list.iter().map(numbers).collect()
}

/// Whether there are items, and each has these numbers.
pub fn all_have(field: &str, wanted: &[&str]) -> bool {
    quotas(field).is_some_and(|items| {
        let has_all = |item: &BTreeMap<String, u64>| wanted.iter().all(|name| item.contains_key(*name));
        !items.is_empty() && items.iter().all(has_all)
    })
}

/// The least that any item says under this name, with all that this item says: its other numbers belong to it.
pub fn tightest(field: &str, name: &str) -> Option<(u64, BTreeMap<String, u64>)> {
    let items = quotas(field).unwrap_or_default().into_iter();
    let having = items.filter_map(|item| Some((item.get(name).copied()?, item)));
    having.min_by_key(|(least, _)| *least)
}

/// The least that any item says.
pub fn least(field: &str, name: &str) -> Option<u64> {
    tightest(field, name).map(|(least, _)| least)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_from_its_policy() {
        assert_eq!(least("\"default\";q=100;w=900", "q"), Some(100));
        assert_eq!(least("\"default\"; w=900; q=7", "w"), Some(900));
        assert_eq!(least("\"day\";q=1000;w=86400, \"burst\";q=50;w=10", "q"), Some(50));
        // Its window is its own, though another one is shorter.
        let policies = "\"burst\";q=500;w=10, \"default\";q=100;w=900";
        assert_eq!(tightest(policies, "q").unwrap().1["w"], 900);
        assert_eq!(least("\"default\";r=42;t=900", "r"), Some(42));
        assert_eq!(least("100;w=900", "w"), None, "an item without a name");
        assert_eq!(least("", "q"), None);
    }

    #[test]
    fn what_else_an_item_has_is_the_servers_own() {
        let partitioned = r#""api";q=100;qu="requests";w=900;pk=:MTI3LjAuMC4x:, "a, b;q=x";q=5;w=1"#;
        assert!(all_have(partitioned, &["q", "w"]));
        assert_eq!(least(partitioned, "q"), Some(5));
        assert!(!all_have(partitioned, &["r"]));
        for bad in [
            "",
            "q=100",
            "\"api\";q=x;w=1",
            "\"api\";q=1, \"b\";w=1",
            "\"api\";q=-1;w=1",
        ] {
            assert!(!all_have(bad, &["q", "w"]), "{bad}");
        }
    }
}
