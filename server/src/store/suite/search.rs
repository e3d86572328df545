//! Search of messages.

use chat_protocol::{Message, UserId};

use super::Bench;

async fn found(b: &Bench, user: &UserId, query: &str) -> Vec<String> {
    let page = b.store.search_messages(user, query, None, None, 50).await.unwrap();
    page.items.into_iter().map(|m| m.content).collect()
}

pub(crate) async fn finds_literal_parts_ignoring_case(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    for content in [
        "Hello World",
        "100% sure",
        "a_b",
        "f(x",
        "GRÖSSE und Größe",
        "\"quoted\" AND",
        "back\\slash",
        "two\nLines\tthere",
        // Folded, these are in ASCII: of two letters, and the sign of a unit.
        "Hauptstraße",
        "273 \u{212a}",
    ] {
        b.send(&ann, &bob, content).await;
    }
    for indexed in [false, true] {
        if indexed {
            b.store.search_caught_up().await.unwrap();
        }
        for (query, expected) in [
            ("LO WO", vec!["Hello World"]),
            ("%", vec!["100% sure"]),
            ("0% s", vec!["100% sure"]),
            ("_", vec!["a_b"]),
            ("a_b", vec!["a_b"]),
            ("f(x", vec!["f(x"]),
            ("größe", vec!["GRÖSSE und Größe"]),
            ("\"quoted\" and", vec!["\"quoted\" AND"]),
            ("ck\\sl", vec!["back\\slash"]),
            ("O\nlines\tT", vec!["two\nLines\tthere"]),
            ("TSTRASSE", vec!["Hauptstraße"]),
            ("273 k", vec!["273 \u{212a}"]),
            ("straß", vec!["Hauptstraße"]),
            ("world hello", vec![]),
            (".*", vec![]),
            ("NOT", vec![]),
        ] {
            assert_eq!(found(&b, &bob, query).await, expected, "{query}, indexed: {indexed}");
        }
    }
}

/// What a walk through all pages of so many finds.
pub(crate) async fn walked(b: &Bench, user: &UserId, query: &str, limit: usize) -> Vec<Message> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = b
            .store
            .search_messages(user, query, None, from.as_ref(), limit)
            .await
            .unwrap();
        found.extend(page.items);
        from = page.next;
        if from.is_none() {
            return found;
        }
    }
}

pub(crate) async fn finds_before_and_after_indexing(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    for n in 0..300 {
        b.store
            .submit(b.message(&ann, &bob, &format!("needle {n}")), Box::new(|_| {}))
            .await
            .unwrap();
    }
    b.send(&ann, &bob, "needle 300").await;
    // However far the index has come: all of them, once each.
    let all = walked(&b, &bob, "needle", 7).await;
    let all: Vec<_> = all.into_iter().map(|m| m.seq.unwrap()).collect();
    assert_eq!(all, (1..=301).rev().collect::<Vec<_>>());
}

pub(crate) async fn follows_edits_and_deletions(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let edited = b.send(&ann, &bob, "before").await;
    let deleted = b.send(&ann, &bob, "secret").await;
    b.store.search_caught_up().await.unwrap();
    b.store
        .edit_message(&edited.id, &ann, "afterwards".into())
        .await
        .unwrap();
    b.store.delete_message(&deleted.id, &ann).await.unwrap();
    for indexed in [false, true] {
        if indexed {
            b.store.search_caught_up().await.unwrap();
        }
        assert_eq!(found(&b, &bob, "afterw").await, ["afterwards"]);
        assert!(found(&b, &bob, "before").await.is_empty());
        assert!(found(&b, &bob, "secret").await.is_empty());
        assert!(found(&b, &bob, "se").await.is_empty());
    }
}

pub(crate) async fn shows_own_chats_alone(b: Bench) {
    let (ann, bob, eve) = (b.user("ann").await, b.user("bob").await, b.user("eve").await);
    let with_bob = b.send(&ann, &bob, "plan one").await;
    b.send(&eve, &ann, "plan two").await;
    for indexed in [false, true] {
        if indexed {
            b.store.search_caught_up().await.unwrap();
        }
        assert_eq!(found(&b, &ann, "plan").await, ["plan two", "plan one"]);
        assert_eq!(found(&b, &ann, "pl").await, ["plan two", "plan one"]);
        assert_eq!(found(&b, &bob, "plan").await, ["plan one"]);
        assert_eq!(found(&b, &eve, "pl").await, ["plan two"]);
        let chat = Some(&with_bob.chat_id);
        let one = b.store.search_messages(&ann, "plan", chat, None, 5).await.unwrap();
        assert_eq!(one.items.len(), 1);
        let foreign = b.store.search_messages(&eve, "plan", chat, None, 5).await.unwrap();
        assert!(foreign.items.is_empty());
    }
}

pub(crate) async fn pages_newest_first(b: Bench) {
    let ann = b.user("ann").await;
    let mut peers = Vec::new();
    for n in 0..3 {
        peers.push(b.user(&format!("peer{n}")).await);
    }
    let mut sent = Vec::new();
    for n in 0..25_usize {
        sent.push(b.send(&ann, &peers[n * n % 3], "to find").await.id);
    }
    sent.reverse();
    for query in ["o", "to find"] {
        let found = walked(&b, &ann, query, 4).await;
        let found: Vec<_> = found.into_iter().map(|m| m.id).collect();
        assert_eq!(found, sent, "{query}");
    }
}
