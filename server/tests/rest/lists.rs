//! The lists of messages: a conversation, the chats, search.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{each, keys, names, query};
use crate::person::Person;
use crate::server::Server;

fn history(peer: &Person, pairs: &[(&str, &str)]) -> String {
    query(&format!("/api/messages/conversation/{}", peer.id), pairs)
}

fn search(pairs: &[(&str, &str)]) -> String {
    query("/api/messages/search", pairs)
}

/// The contents of what is found.
async fn found(person: &Person, pairs: &[(&str, &str)]) -> Vec<String> {
    let page = person.get(&search(pairs)).await.ok(200);
    each(&page, "content").into_iter().map(Into::into).collect()
}

async fn many(from: &Person, to: &Person, count: usize) -> Vec<String> {
    let mut sent = Vec::new();
    for number in 1..=count {
        let content = format!("number {number}");
        from.sends(to, &content).await;
        sent.push(content);
    }
    sent
}

#[tokio::test]
async fn a_conversation_is_walked_newest_first_while_it_grows() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut expected = many(&ann, &bob, 7).await;
    expected.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut pairs = vec![("limit", "3")];
        if !cursor.is_empty() {
            pairs.push(("cursor", &cursor));
        }
        let page = bob.get(&history(&ann, &pairs)).await.ok(200);
        assert_eq!(keys(&page), names(&["chatId", "items", "nextCursor"]));
        seen.extend(each(&page, "content").into_iter().map(String::from));
        ann.sends(&bob, "meanwhile").await;
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.into(),
            None => break,
        }
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_that_ends_the_list_has_no_cursor() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    many(&ann, &bob, 4).await;
    for (limit, more) in [("3", true), ("4", false), ("100", false)] {
        for after in ["", "&after=0"] {
            let page = bob.conversation(&ann, &format!("?limit={limit}{after}")).await;
            assert_eq!(page["nextCursor"].is_string(), more, "{limit}{after}");
        }
    }
}

#[tokio::test]
async fn after_a_seq_everything_missed_comes_ascending() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let sent = many(&ann, &bob, 6).await;
    let history_now = bob.conversation(&ann, "").await;
    let third = history_now["items"][3]["id"].as_str().unwrap();
    ann.delete(&format!("/api/messages/{third}")).await.ok(204);

    let first = bob.get(&history(&ann, &[("after", "1"), ("limit", "2")])).await.ok(200);
    assert_eq!(
        each(&first, "content"),
        [sent[1].as_str(), ""],
        "tombstones in their places"
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = bob
        .get(&history(&ann, &[("cursor", cursor), ("limit", "2")]))
        .await
        .ok(200);
    assert_eq!(each(&second, "content"), [sent[3].as_str(), &sent[4]]);
    let again = bob
        .get(&history(&ann, &[("cursor", cursor), ("after", "1"), ("limit", "2")]))
        .await
        .ok(200);
    assert_eq!(again, second);
    let cursor = second["nextCursor"].as_str().unwrap();
    ann.sends(&bob, "number 7").await;
    let last = bob.get(&history(&ann, &[("cursor", cursor)])).await.ok(200);
    assert_eq!(each(&last, "content"), ["number 6", "number 7"]);
    assert_eq!(last["nextCursor"], Value::Null);
    for after in ["7", "8", "99999999999999999999999"] {
        let page = bob.get(&history(&ann, &[("after", after)])).await.ok(200);
        assert_eq!(page["items"], json!([]), "{after}");
    }
    let seqs: Vec<u64> = (bob.conversation(&ann, "?after=0").await["items"]
        .as_array()
        .unwrap()
        .iter())
    .map(|item| item["seq"].as_u64().unwrap())
    .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_conversation_without_messages_has_no_chat() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let nothing = json!({"chatId": null, "items": [], "nextCursor": null});
    assert_eq!(ann.conversation(&bob, "").await, nothing);
    assert_eq!(ann.conversation(&ann, "").await, nothing);
    for id in ["ffffffffffffffffffffffff", "not%20an%20id", "%ff", "%00"] {
        let answer = ann.get(&format!("/api/messages/conversation/{id}")).await;
        answer.refused(404, "USER_NOT_FOUND");
    }
}

#[tokio::test]
async fn limits_and_cursors_are_checked_on_every_list() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    many(&ann, &bob, 3).await;
    let lists = [
        (format!("/api/messages/conversation/{}?", bob.id), "101"),
        ("/api/messages/chats?".into(), "101"),
        ("/api/messages/search?q=number&".into(), "101"),
        ("/api/users/online?".into(), "101"),
        ("/api/users/search?q=a&".into(), "51"),
    ];
    for (list, too_many) in &lists {
        for limit in [
            "0",
            "-1",
            "1.5",
            "abc",
            "",
            "1e1",
            "%2B1",
            too_many,
            "99999999999999999999",
        ] {
            ann.get(&format!("{list}limit={limit}")).await.refused_for(&["limit"]);
        }
        for cursor in ["x", "", "%00", "eyJpZCI6MX0", "%27%20OR%201=1"] {
            ann.get(&format!("{list}cursor={cursor}"))
                .await
                .refused_for(&["cursor"]);
        }
        ann.get(&format!("{list}limit=1")).await.ok(200);
    }
    for after in ["-1", "abc", "", "1.5"] {
        let path = history(&bob, &[("after", after)]);
        ann.get(&path).await.refused_for(&["after"]);
    }
    let page = ann.conversation(&bob, "?limit=1").await;
    let cursor = page["nextCursor"].as_str().unwrap();
    for (list, _) in &lists[1..] {
        let answer = ann.get(&format!("{list}cursor={cursor}")).await;
        answer.refused_for(&["cursor"]);
    }
    let answer = bob.get(&history(&ann, &[("cursor", cursor)])).await;
    answer.refused_for(&["cursor"]);
    let answer = ann.get(&history(&bob, &[("cursor", cursor), ("after", "0")])).await;
    answer.refused_for(&["cursor"]);
}

#[tokio::test]
async fn chats_show_both_the_last_message_and_what_is_unread() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    ann.sends(&bob, "one").await;
    let last = ann.sends(&bob, "two").await;
    cid.sends(&bob, "three").await;
    let page = bob.get("/api/messages/chats").await.ok(200);
    assert_eq!(
        (keys(&page), &page["nextCursor"]),
        (names(&["items", "nextCursor"]), &Value::Null)
    );
    let chat = &page["items"][1];
    let shape = [
        "id",
        "participants",
        "lastMessage",
        "lastActivity",
        "isGroup",
        "groupName",
        "unreadCount",
    ];
    assert_eq!(keys(chat), names(&shape));
    assert_eq!((&chat["id"], &chat["lastMessage"]), (&last["chatId"], &last));
    assert_eq!(
        (&chat["lastActivity"], &chat["unreadCount"]),
        (&last["timestamp"], &json!(2))
    );
    assert_eq!((&chat["isGroup"], &chat["groupName"]), (&json!(false), &Value::Null));
    let people: BTreeSet<&str> = (chat["participants"].as_array().unwrap().iter())
        .map(|user| user["id"].as_str().unwrap())
        .collect();
    assert_eq!(people, BTreeSet::from([ann.id.as_str(), &bob.id]));
    let public = names(&["id", "username", "status", "lastSeen", "profilePicture", "bio"]);
    assert_eq!(keys(&chat["participants"][0]), public);
    let own = ann.get("/api/messages/chats").await.ok(200);
    assert_eq!(
        (own["items"].as_array().unwrap().len(), &own["items"][0]["unreadCount"]),
        (1, &json!(0))
    );
}

#[tokio::test]
async fn a_walk_over_the_chats_neither_repeats_nor_skips_while_they_grow() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut people = Vec::new();
    let mut at_the_start = BTreeSet::new();
    for name in ["bob", "cid", "dee", "eve", "fay"] {
        let person = server.person(name).await;
        at_the_start.insert(person.sends(&ann, "hello").await["chatId"].as_str().unwrap().to_owned());
        people.push(person);
    }
    let late = server.person("late").await;
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = match cursor.as_str() {
            "" => query("/api/messages/chats", &[("limit", "2")]),
            cursor => query("/api/messages/chats", &[("limit", "2"), ("cursor", cursor)]),
        };
        let page = ann.get(&path).await.ok(200);
        seen.extend(each(&page, "id").into_iter().map(String::from));
        // A chat that was shown moves up, and a new one comes.
        people[4].sends(&ann, "again").await;
        late.sends(&ann, "new here").await;
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.into(),
            None => break,
        }
    }
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "nothing comes twice");
    assert!(once.is_superset(&at_the_start));
    let page = ann.get("/api/messages/chats?limit=2").await.ok(200);
    let activity = each(&page, "lastActivity");
    assert!(activity[0] >= activity[1]);
}

#[tokio::test]
async fn a_chat_that_moves_up_before_it_was_shown_is_not_skipped() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut people = Vec::new();
    for name in ["bob", "cid", "dee"] {
        let person = server.person(name).await;
        person.sends(&ann, "hello").await;
        people.push(person);
    }
    let first = ann.get("/api/messages/chats?limit=1").await.ok(200);
    let moved = people[0].sends(&ann, "again").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let rest = ann
        .get(&query("/api/messages/chats", &[("cursor", cursor)]))
        .await
        .ok(200);
    let ids = each(&rest, "id");
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&moved["chatId"].as_str().unwrap()));
}

#[tokio::test]
async fn search_takes_every_character_as_itself() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let texts = [
        "100% sure",
        "100 sure",
        "snake_case",
        "snakeXcase",
        "f(x) = [a-z]*",
        "back\\slash",
        "it's \"quoted\"",
        "a.b",
    ];
    for text in texts {
        ann.sends(&bob, text).await;
    }
    let cases: [(&str, &[&str]); 16] = [
        ("%", &["100% sure"]),
        ("0% s", &["100% sure"]),
        ("_", &["snake_case"]),
        ("snake_", &["snake_case"]),
        ("(", &["f(x) = [a-z]*"]),
        ("f(x)", &["f(x) = [a-z]*"]),
        ("[a-z]*", &["f(x) = [a-z]*"]),
        (".*", &[]),
        ("a.b", &["a.b"]),
        ("\\", &["back\\slash"]),
        ("back\\s", &["back\\slash"]),
        ("'", &["it's \"quoted\""]),
        ("\"quoted\"", &["it's \"quoted\""]),
        ("NEAR(a b)", &[]),
        ("* OR *", &[]),
        ("sure", &["100 sure", "100% sure"]),
    ];
    for (q, expected) in cases {
        assert_eq!(found(&bob, &[("q", q)]).await, expected, "{q}");
    }
}

#[tokio::test]
async fn search_ignores_case_over_all_of_unicode() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    for text in ["Hello World", "ПРИВЕТ мир", "Éclair à la CRÈME", "ΑΘΗΝΑ"] {
        ann.sends(&bob, text).await;
    }
    let cases = [
        ("hELLO", "Hello World"),
        ("o W", "Hello World"),
        ("привет", "ПРИВЕТ мир"),
        ("МИ", "ПРИВЕТ мир"),
        ("éCL", "Éclair à la CRÈME"),
        ("crème", "Éclair à la CRÈME"),
        ("Αθηνα", "ΑΘΗΝΑ"),
    ];
    // At once, when nothing may be indexed yet, and when everything is.
    for _ in 0..2 {
        for (q, expected) in cases {
            assert_eq!(found(&ann, &[("q", q)]).await, [expected], "{q}");
        }
        server.app.store.search_caught_up().await.unwrap();
    }
}

#[tokio::test]
async fn search_sees_own_chats_without_what_was_deleted_or_edited_away() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    ann.sends(&bob, "needle for bob").await;
    cid.sends(&ann, "needle from cid").await;
    bob.sends(&cid, "needle between others").await;
    let gone = ann.sends(&bob, "needle deleted").await;
    let changed = ann.sends(&bob, "needle changed").await;
    server.app.store.search_caught_up().await.unwrap();
    ann.delete(&format!("/api/messages/{}", gone["id"].as_str().unwrap()))
        .await
        .ok(204);
    let path = format!("/api/messages/{}", changed["id"].as_str().unwrap());
    ann.put(&path, json!({"content": "a thimble"})).await.ok(200);
    for _ in 0..2 {
        assert_eq!(
            found(&ann, &[("q", "needle")]).await,
            ["needle from cid", "needle for bob"]
        );
        assert_eq!(
            found(&ann, &[("q", "needle"), ("userId", &bob.id)]).await,
            ["needle for bob"]
        );
        assert_eq!(found(&ann, &[("q", "thimble")]).await, ["a thimble"]);
        server.app.store.search_caught_up().await.unwrap();
    }
    let dee = server.person("dee").await;
    assert!(found(&dee, &[("q", "needle")]).await.is_empty());
    assert!(found(&dee, &[("q", "needle"), ("userId", &ann.id)]).await.is_empty());
    for id in ["ffffffffffffffffffffffff", "not an id", ""] {
        let answer = ann.get(&search(&[("q", "needle"), ("userId", id)])).await;
        answer.refused(404, "USER_NOT_FOUND");
    }
}

#[tokio::test]
async fn search_pages_newest_first_and_bounds_its_query() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    many(&ann, &bob, 5).await;
    for q in ["number", "nu"] {
        let first = bob.get(&search(&[("q", q), ("limit", "2")])).await.ok(200);
        assert_eq!(each(&first, "content"), ["number 5", "number 4"]);
        ann.sends(&bob, "number six").await;
        let cursor = first["nextCursor"].as_str().unwrap();
        let rest = bob.get(&search(&[("q", q), ("cursor", cursor)])).await.ok(200);
        assert_eq!(each(&rest, "content"), ["number 3", "number 2", "number 1"]);
        assert_eq!(rest["nextCursor"], Value::Null);
        let other = bob.get(&search(&[("q", "numbe"), ("cursor", cursor)])).await;
        other.refused_for(&["cursor"]);
        let newest = found(&bob, &[("q", "number six")]).await.len();
        for _ in 0..newest {
            let page = bob.get(&search(&[("q", "number six"), ("limit", "1")])).await.ok(200);
            let id = each(&page, "id")[0].to_owned();
            ann.delete(&format!("/api/messages/{id}")).await.ok(204);
        }
    }
    bob.get(&search(&[("q", &"é".repeat(100))])).await.ok(200);
    for path in [search(&[]), search(&[("q", "")]), search(&[("q", &"é".repeat(101))])] {
        bob.get(&path).await.refused_for(&["q"]);
    }
}
