//! Users as others see them.

use serde_json::{Value, json};

use crate::client::{each, keys, names, query};
use crate::person::Person;
use crate::server::Server;

const PUBLIC: [&str; 6] = ["id", "username", "status", "lastSeen", "profilePicture", "bio"];

async fn found(person: &Person, q: &str) -> Vec<String> {
    let page = person.get(&query("/api/users/search", &[("q", q)])).await.ok(200);
    each(&page, "username").into_iter().map(Into::into).collect()
}

async fn status(person: &Person, of: &Person) -> Value {
    person.get(&format!("/api/users/{}/status", of.id)).await.ok(200)
}

async fn online(person: &Person) -> Vec<String> {
    let page = person.get("/api/users/online").await.ok(200);
    let mut names: Vec<String> = each(&page, "username").into_iter().map(Into::into).collect();
    names.sort();
    names
}

#[tokio::test]
async fn others_see_the_public_part_of_a_user() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    bob.put("/api/auth/profile", json!({"bio": "builder"})).await.ok(200);
    let body = ann.get(&format!("/api/users/{}", bob.id)).await.ok(200);
    assert_eq!((keys(&body), keys(&body["user"])), (names(&["user"]), names(&PUBLIC)));
    let user = &body["user"];
    assert_eq!((&user["username"], &user["bio"]), (&json!("bob"), &json!("builder")));
    assert_eq!((&user["status"], &user["lastSeen"]), (&json!("offline"), &Value::Null));
    assert_eq!(
        status(&ann, &bob).await,
        json!({"userId": bob.id, "status": "offline", "lastSeen": null})
    );
    let own = ann.get(&format!("/api/users/{}", ann.id)).await.ok(200);
    assert_eq!(keys(&own["user"]), names(&PUBLIC));
}

#[tokio::test]
async fn unknown_malformed_and_inactive_users_are_the_same_404() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    server.set_active(&bob, false).await;
    let ann = ann.with_header("x-request-id", "same");
    let expected = ann.get("/api/users/ffffffffffffffffffffffff").await;
    for id in ["ffffffffffffffffffffffff", "a%20b", "%ff", "%00", "..%2f..", &bob.id] {
        for path in [format!("/api/users/{id}"), format!("/api/users/{id}/status")] {
            let answer = ann.get(&path).await;
            answer.refused(404, "USER_NOT_FOUND");
            assert_eq!(answer.text, expected.text, "{path}");
        }
    }
}

#[tokio::test]
async fn online_are_those_with_a_socket_who_want_to_be_seen() {
    let server = Server::start().await;
    let (ann, bob, cid) = (
        server.person("ann").await,
        server.person("bob").await,
        server.person("cid").await,
    );
    assert!(online(&ann).await.is_empty());
    let _ann = ann.device().await;
    let mut device = bob.device().await;
    assert_eq!(online(&ann).await, ["ann", "bob"], "the caller included");
    assert_eq!(online(&cid).await, ["ann", "bob"]);
    let page = cid.get("/api/users/online").await.ok(200);
    assert!(each(&page, "status").iter().all(|status| *status == "online"));
    assert_eq!(keys(&page["items"][0]), names(&PUBLIC));

    let ack = device.ask("update_status", json!({"status": "offline"})).await;
    assert_eq!(ack["ok"], true);
    assert_eq!(online(&cid).await, ["ann"]);
    device.ask("update_status", json!({"status": "busy"})).await;
    assert_eq!(online(&cid).await, ["ann", "bob"]);
}

#[tokio::test]
async fn the_list_of_who_is_online_has_pages() {
    let server = Server::start().await;
    let mut devices = Vec::new();
    let mut people = Vec::new();
    for name in ["ann", "bob", "cid", "dee", "eve"] {
        let person = server.person(name).await;
        devices.push(person.device().await);
        people.push(person);
    }
    let mut seen = Vec::new();
    let mut path = "/api/users/online?limit=2".to_owned();
    loop {
        let page = people[0].get(&path).await.ok(200);
        seen.extend(each(&page, "username").into_iter().map(String::from));
        match page["nextCursor"].as_str() {
            Some(next) => path = query("/api/users/online", &[("limit", "2"), ("cursor", next)]),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["ann", "bob", "cid", "dee", "eve"]);
}

#[tokio::test]
async fn a_status_is_what_was_chosen_and_an_invisible_user_looks_away_for_good() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    let mut device = bob.device().await;
    let first = status(&ann, &bob).await;
    assert_eq!(first["status"], "online");
    assert!(first["lastSeen"].is_string());
    device.ask("update_status", json!({"status": "away"})).await;
    let away = status(&ann, &bob).await;
    assert_eq!(away["status"], "away");
    assert!(away["lastSeen"].as_str() >= first["lastSeen"].as_str());

    device.ask("update_status", json!({"status": "offline"})).await;
    let hidden = status(&ann, &bob).await;
    assert_eq!(hidden["status"], "offline");
    bob.sends(&ann, "still here").await;
    device.ask("update_status", json!({"status": "offline"})).await;
    let _second = bob.device().await;
    assert_eq!(status(&ann, &bob).await, hidden, "frozen while invisible");
    let user = ann.get(&format!("/api/users/{}", bob.id)).await.ok(200);
    assert_eq!(
        (&user["user"]["status"], &user["user"]["lastSeen"]),
        (&json!("offline"), &hidden["lastSeen"])
    );
}

#[tokio::test]
async fn whoever_leaves_is_offline_with_the_time_of_it() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bob").await);
    bob.sends(&ann, "partners").await;
    let mut watching = ann.device().await;
    let device = bob.device().await;
    watching.event("user_online").await;
    let here = status(&ann, &bob).await;
    drop(device);
    let event = watching.event("user_offline").await;
    assert_eq!(event, json!({"userId": bob.id, "username": "bob", "status": "offline"}));
    let gone = status(&ann, &bob).await;
    assert_eq!(gone["status"], "offline");
    assert!(gone["lastSeen"].as_str() >= here["lastSeen"].as_str());
    assert_eq!(online(&ann).await, ["ann"]);
}

#[tokio::test]
async fn users_are_found_by_name_in_alphabetical_order() {
    let server = Server::start().await;
    let ann = server.person("Annabel").await;
    for name in ["annika", "Ann", "hanna", "bob", "An_x", "Anax"] {
        server.person(name).await;
    }
    assert_eq!(found(&ann, "ann").await, ["Ann", "Annabel", "annika", "hanna"]);
    assert_eq!(found(&ann, "ANN").await, ["Ann", "Annabel", "annika", "hanna"]);
    assert_eq!(found(&ann, "B").await[0], "bob");
    assert_eq!(found(&ann, "An_").await, ["An_x"], "not a wildcard");
    for q in ["%", "ann%", "\"", "ann*", "(", "ANNA OR bob", "'"] {
        assert!(found(&ann, q).await.is_empty(), "{q}");
    }
    for q in ["example", "ann@example.com", "@"] {
        assert!(found(&ann, q).await.is_empty(), "never by email: {q}");
    }
    let page = ann.get("/api/users/search?q=ann").await.ok(200);
    assert!(
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|user| keys(user) == names(&PUBLIC))
    );
}

#[tokio::test]
async fn inactive_users_are_not_found() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("bobby").await);
    server.set_active(&bob, false).await;
    assert!(found(&ann, "bo").await.is_empty() && found(&ann, "obb").await.is_empty());
    server.set_active(&bob, true).await;
    assert_eq!(found(&ann, "obb").await, ["bobby"]);
}

#[tokio::test]
async fn the_search_for_users_has_pages_of_at_most_fifty() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let mut expected = Vec::new();
    for number in 0..21 {
        let name = format!("user{number:02}");
        server.person(&name).await;
        expected.push(name);
    }
    for q in ["us", "user"] {
        let first = ann.get(&query("/api/users/search", &[("q", q)])).await.ok(200);
        assert_eq!(each(&first, "username"), expected[..20]);
        let cursor = first["nextCursor"].as_str().unwrap();
        let rest = ann
            .get(&query("/api/users/search", &[("q", q), ("cursor", cursor)]))
            .await;
        let rest = rest.ok(200);
        assert_eq!(
            (each(&rest, "username"), &rest["nextCursor"]),
            (vec!["user20"], &Value::Null)
        );
        let all = ann
            .get(&query("/api/users/search", &[("q", q), ("limit", "50")]))
            .await
            .ok(200);
        assert_eq!(each(&all, "username"), expected);
        let answer = ann
            .get(&query("/api/users/search", &[("q", "ann"), ("cursor", cursor)]))
            .await;
        answer.refused_for(&["cursor"]);
    }
    for pairs in [&[][..], &[("q", "")], &[("q", &"x".repeat(51))]] {
        ann.get(&query("/api/users/search", pairs)).await.refused_for(&["q"]);
    }
    ann.get(&query("/api/users/search", &[("q", &"é".repeat(50))]))
        .await
        .ok(200);
}
