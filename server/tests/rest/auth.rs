//! `/api/auth`: registering, logging in, tokens, the profile, the password.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, keys, names};
use crate::person::registration;
use crate::server::Server;

const OWN_USER: [&str; 8] = [
    "id",
    "username",
    "email",
    "status",
    "lastSeen",
    "profilePicture",
    "bio",
    "createdAt",
];
const TOKENS: [&str; 4] = ["accessToken", "refreshToken", "tokenType", "expiresIn"];

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field).unwrap();
    body
}

fn login(identifier: &str, password: &str) -> Value {
    json!({"identifier": identifier, "password": password})
}

#[tokio::test]
async fn registering_answers_with_the_own_user_and_tokens() {
    let server = Server::start().await;
    let body = with(registration("Ann.B-c_1"), "email", json!("Ann@Example.COM"));
    let answer = server.visitor().post("/api/auth/register", body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.ok(201);
    assert_eq!(keys(&body), names(&["user", "tokens"]));
    assert_eq!(keys(&body["user"]), names(&OWN_USER));
    assert_eq!(keys(&body["tokens"]), names(&TOKENS));
    let user = &body["user"];
    assert_eq!(
        (&user["username"], &user["email"]),
        (&json!("Ann.B-c_1"), &json!("ann@example.com"))
    );
    assert_eq!((&user["status"], &user["lastSeen"]), (&json!("offline"), &Value::Null));
    assert_eq!((&user["bio"], &user["profilePicture"]), (&Value::Null, &Value::Null));
    let created = user["createdAt"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z') && created.as_bytes()[19] == b'.');
    let tokens = &body["tokens"];
    assert_eq!(
        (&tokens["tokenType"], &tokens["expiresIn"]),
        (&json!("Bearer"), &json!(900))
    );
}

#[tokio::test]
async fn a_registration_is_refused_for_every_bad_field_at_once_without_an_echo() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let sent = ["no spaces!", "nowhere.example", "secret7", "secret8"];
    let body = json!({"username": sent[0], "email": sent[1], "password": sent[2], "confirmPassword": sent[3]});
    let answer = visitor.post("/api/auth/register", body).await;
    answer.refused_for(&["username", "email", "password"]);
    for value in sent {
        assert!(!answer.text.contains(value), "{}", answer.text);
    }
    let all = ["username", "email", "password", "confirmPassword"];
    visitor.post("/api/auth/register", json!({})).await.refused_for(&all);
}

#[tokio::test]
async fn each_field_of_a_registration_has_its_bounds() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let long = |n: usize| json!("x".repeat(n));
    let cases = [
        ("username", long(2)),
        ("username", long(31)),
        ("username", json!("ann bob")),
        ("username", json!("änn")),
        ("username", json!("ann\n")),
        ("username", json!("")),
        ("username", json!(7)),
        ("username", json!(["ann"])),
        ("username", Value::Null),
        ("email", json!("ann")),
        ("email", json!("ann@")),
        ("email", json!("@example.com")),
        ("email", json!("ann@example")),
        ("email", json!("ann@example..com")),
        ("email", json!("a nn@example.com")),
        ("email", json!("ann@bob@example.com")),
        ("email", json!(format!("{}@example.com", "x".repeat(300)))),
        ("email", json!({"a": 1})),
        ("confirmPassword", json!("something else")),
        ("confirmPassword", Value::Null),
        ("confirmPassword", json!(12_345_678)),
    ];
    for (field, value) in cases {
        let body = with(registration("ann"), field, value.clone());
        let answer = visitor.post("/api/auth/register", body).await;
        assert_eq!(answer.status, 400, "{field} {value}");
        answer.refused_for(&[field]);
    }
    for password in [json!("7 chars"), long(129), json!("é".repeat(7)), json!(12_345_678)] {
        let body = with(
            with(registration("ann"), "password", password.clone()),
            "confirmPassword",
            password,
        );
        let answer = visitor.post("/api/auth/register", body).await;
        answer.refused(400, "VALIDATION_ERROR");
        assert_eq!(answer.body["details"][0]["field"], "password");
    }
    for field in ["username", "email", "confirmPassword"] {
        let answer = visitor
            .post("/api/auth/register", without(registration("ann"), field))
            .await;
        answer.refused_for(&[field]);
    }
}

#[tokio::test]
async fn lengths_are_counted_in_characters_and_passwords_are_never_cut() {
    let server = Server::start().await;
    let visitor = server.visitor();
    for (name, password) in [("abc".to_owned(), "é".repeat(128)), ("x".repeat(30), "🔑".repeat(8))] {
        let body = with(
            with(registration(&name), "password", json!(password)),
            "confirmPassword",
            json!(password),
        );
        visitor.post("/api/auth/register", body).await.ok(201);
        visitor.post("/api/auth/login", login(&name, &password)).await.ok(200);
        let cut: String = password.chars().skip(1).collect();
        let answer = visitor.post("/api/auth/login", login(&name, &format!("{cut}x"))).await;
        answer.refused(401, "INVALID_CREDENTIALS");
    }
}

#[tokio::test]
async fn usernames_and_email_addresses_are_unique_ignoring_case() {
    let server = Server::start().await;
    server.person("Ann").await;
    let visitor = server.visitor();
    let same_name = with(registration("aNN"), "email", json!("other@example.com"));
    let answer = visitor.post("/api/auth/register", same_name).await;
    answer.refused(409, "USERNAME_TAKEN");
    let same_email = with(registration("other"), "email", json!("ANN@example.Com"));
    let answer = visitor.post("/api/auth/register", same_email).await;
    answer.refused(409, "EMAIL_TAKEN");
}

#[tokio::test]
async fn unknown_fields_do_nothing() {
    let server = Server::start().await;
    let mut body = registration("ann");
    for (field, value) in [
        ("isActive", json!(false)),
        ("id", json!("mine")),
        ("status", json!("busy")),
        ("bio", json!("hello")),
    ] {
        body[field] = value;
    }
    let session = server.visitor().post("/api/auth/register", body).await.ok(201);
    assert_ne!(session["user"]["id"], "mine");
    assert_eq!(
        (&session["user"]["status"], &session["user"]["bio"]),
        (&json!("offline"), &Value::Null)
    );
    let answer = server
        .visitor()
        .post("/api/auth/login", login("ann", "the password of ann"))
        .await;
    answer.ok(200);
}

#[tokio::test]
async fn one_logs_in_by_username_or_email_ignoring_case() {
    let server = Server::start().await;
    let ann = server.person("Ann").await;
    for identifier in ["Ann", "ANN", "ann@example.com", "ANN@EXAMPLE.com"] {
        let answer = server
            .visitor()
            .post("/api/auth/login", login(identifier, &ann.password))
            .await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.ok(200);
        assert_eq!(keys(&body), names(&["user", "tokens"]));
        assert_eq!(
            (&body["user"]["id"], keys(&body["user"])),
            (&json!(ann.id), names(&OWN_USER))
        );
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let server = Server::start().await;
    server.person("ann").await;
    let visitor = server.visitor().with_header("x-request-id", "same");
    let wrong = visitor.post("/api/auth/login", login("ann", "not the password")).await;
    let unknown = visitor.post("/api/auth/login", login("bob", "not the password")).await;
    wrong.refused(401, "INVALID_CREDENTIALS");
    assert_eq!((wrong.status, &wrong.text), (unknown.status, &unknown.text));
    let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&wrong), names(&unknown));
}

#[tokio::test]
async fn a_login_needs_both_fields_as_strings() {
    let server = Server::start().await;
    let visitor = server.visitor();
    visitor
        .post("/api/auth/login", json!({}))
        .await
        .refused_for(&["identifier", "password"]);
    let body = json!({"identifier": {"$ne": null}, "password": ["x"]});
    visitor
        .post("/api/auth/login", body)
        .await
        .refused_for(&["identifier", "password"]);
}

#[tokio::test]
async fn that_an_account_is_inactive_is_told_only_after_the_right_password() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    server.set_active(&ann, false).await;
    let visitor = server.visitor();
    let answer = visitor.post("/api/auth/login", login("ann", "not the password")).await;
    answer.refused(401, "INVALID_CREDENTIALS");
    let answer = visitor.post("/api/auth/login", login("ann", &ann.password)).await;
    answer.refused(403, "ACCOUNT_INACTIVE");
    ann.profile().await.refused(401, "TOKEN_INVALID");
    ann.refresh(&ann.refresh_token).await.refused(401, "TOKEN_INVALID");

    server.set_active(&ann, true).await;
    server.session_of(&ann).await.profile().await.ok(200);
    ann.profile().await.refused(401, "TOKEN_INVALID");
}

#[tokio::test]
async fn a_refresh_rotates_and_older_access_tokens_live() {
    let server = Server::start().await;
    let mut ann = server.person("ann").await;
    let first_access = ann.token().to_owned();
    let answer = server
        .visitor()
        .post("/api/auth/refresh-token", json!({"refreshToken": ann.refresh_token}))
        .await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.ok(200);
    assert_eq!(keys(&body), names(&["tokens"]));
    assert_eq!(keys(&body["tokens"]), names(&TOKENS));
    assert_ne!(body["tokens"]["refreshToken"], ann.refresh_token.as_str());
    ann.take_tokens(&body["tokens"]);
    assert_ne!(ann.token(), first_access);
    ann.profile().await.ok(200);
    ann.with_token(&first_access).get("/api/auth/profile").await.ok(200);
    ann.refresh(&ann.refresh_token).await.ok(200);
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_the_whole_session_and_no_other() {
    let server = Server::start().await;
    let mut ann = server.person("ann").await;
    let elsewhere = server.session_of(&ann).await;
    let (device, mut other_device) = (ann.device().await, elsewhere.device().await);
    let first = ann.refresh_token.clone();
    let tokens = ann.refresh(&first).await.ok(200);
    ann.take_tokens(&tokens["tokens"]);

    ann.refresh(&first).await.refused(401, "REFRESH_REUSED");
    ann.profile().await.refused(401, "TOKEN_INVALID");
    ann.refresh(&ann.refresh_token).await.refused(401, "TOKEN_INVALID");
    device.closed().await;
    elsewhere.profile().await.ok(200);
    let ack = other_device.ask("update_status", json!({"status": "busy"})).await;
    assert_eq!(ack["ok"], true);
}

#[tokio::test]
async fn one_kind_of_token_never_stands_in_for_the_other() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let answer = ann.with_token(&ann.refresh_token).get("/api/auth/profile").await;
    answer.refused(401, "TOKEN_INVALID");
    ann.refresh(ann.token()).await.refused(401, "TOKEN_INVALID");
    ann.profile().await.ok(200);
    ann.refresh("rubbish").await.refused(401, "TOKEN_INVALID");
    ann.post("/api/auth/refresh-token", json!({}))
        .await
        .refused_for(&["refreshToken"]);
}

#[tokio::test]
async fn old_tokens_have_a_code_of_their_own() {
    let server = Server::with(|config| {
        config.access.lifetime = Duration::ZERO;
        config.refresh.lifetime = Duration::ZERO;
    })
    .await;
    let ann = server.person("ann").await;
    ann.profile().await.refused(401, "TOKEN_EXPIRED");
    ann.refresh(&ann.refresh_token).await.refused(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_logout_ends_this_session_alone() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let elsewhere = server.session_of(&ann).await;
    let (device, mut other_device) = (ann.device().await, elsewhere.device().await);
    let answer = ann.post("/api/auth/logout", json!({})).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    ann.profile().await.refused(401, "TOKEN_INVALID");
    ann.refresh(&ann.refresh_token).await.refused(401, "TOKEN_INVALID");
    ann.post("/api/auth/logout", json!({}))
        .await
        .refused(401, "TOKEN_INVALID");
    device.closed().await;
    elsewhere.profile().await.ok(200);
    let ack = other_device.ask("update_status", json!({"status": "away"})).await;
    assert_eq!(ack["ok"], true);
}

#[tokio::test]
async fn a_profile_changes_in_part_and_null_clears() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let start = ann.profile().await.ok(200);
    assert_eq!(
        (keys(&start), keys(&start["user"])),
        (names(&["user"]), names(&OWN_USER))
    );
    let same = ann.put("/api/auth/profile", json!({})).await.ok(200);
    assert_eq!(same, start);

    let (bio, picture) = ("é".repeat(500), format!("https://pics.example/{}", "x".repeat(2027)));
    let changed = ann
        .put("/api/auth/profile", json!({"bio": bio, "profilePicture": picture}))
        .await
        .ok(200);
    let mut expected = start;
    expected["user"]["bio"] = json!(bio);
    expected["user"]["profilePicture"] = json!(picture);
    assert_eq!(changed, expected);
    assert_eq!(ann.profile().await.ok(200), expected);

    let body = json!({"username": "ANN", "bio": null, "password": "changed by profile", "email": "x@example.com"});
    let changed = ann.put("/api/auth/profile", body).await.ok(200);
    expected["user"]["username"] = json!("ANN");
    expected["user"]["bio"] = Value::Null;
    assert_eq!(changed, expected);
    let answer = ann.post("/api/auth/login", login("ann", "changed by profile")).await;
    answer.refused(401, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn a_bad_profile_changes_nothing() {
    let server = Server::start().await;
    let (ann, bob) = (server.person("ann").await, server.person("Bob").await);
    let start = ann.profile().await.ok(200);
    let bad = [
        (json!({"username": "no"}), "username"),
        (json!({"username": null, "bio": "new"}), "username"),
        (json!({"bio": "x".repeat(501), "username": "anna"}), "bio"),
        (json!({"bio": 7}), "bio"),
        (json!({"profilePicture": "http://pics.example/a"}), "profilePicture"),
        (json!({"profilePicture": "javascript:alert(1)"}), "profilePicture"),
        (json!({"profilePicture": "https://"}), "profilePicture"),
        (json!({"profilePicture": ""}), "profilePicture"),
        (
            json!({"profilePicture": format!("https://pics.example/{}", "x".repeat(2028))}),
            "profilePicture",
        ),
    ];
    for (body, field) in bad {
        ann.put("/api/auth/profile", body).await.refused_for(&[field]);
    }
    let answer = ann
        .put("/api/auth/profile", json!({"username": "bOB", "bio": "new"}))
        .await;
    answer.refused(409, "USERNAME_TAKEN");
    assert_eq!(ann.profile().await.ok(200), start);
    assert_eq!(bob.profile().await.ok(200)["user"]["username"], "Bob");
}

#[tokio::test]
async fn a_new_password_keeps_this_session_and_ends_all_others() {
    let server = Server::start().await;
    let mut ann = server.person("ann").await;
    let elsewhere = server.session_of(&ann).await;
    let (mut device, other_device) = (ann.device().await, elsewhere.device().await);
    let (old_access, old_refresh) = (ann.token().to_owned(), ann.refresh_token.clone());
    let body =
        json!({"currentPassword": ann.password, "newPassword": "a new password", "confirmPassword": "a new password"});
    let answer = ann.put("/api/auth/change-password", body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.ok(200);
    assert_eq!(
        (keys(&body), keys(&body["tokens"])),
        (names(&["tokens"]), names(&TOKENS))
    );
    ann.take_tokens(&body["tokens"]);

    let old = ann.with_token(&old_access).get("/api/auth/profile").await;
    old.refused(401, "TOKEN_INVALID");
    ann.refresh(&old_refresh).await.refused(401, "TOKEN_INVALID");
    elsewhere.profile().await.refused(401, "TOKEN_INVALID");
    elsewhere
        .refresh(&elsewhere.refresh_token)
        .await
        .refused(401, "TOKEN_INVALID");
    other_device.closed().await;

    ann.profile().await.ok(200);
    let ack = device.ask("update_status", json!({"status": "busy"})).await;
    assert_eq!(ack["ok"], true, "the sockets of this session live on");
    let tokens = ann.refresh(&ann.refresh_token).await.ok(200);
    ann.take_tokens(&tokens["tokens"]);

    let answer = ann.post("/api/auth/login", login("ann", &ann.password)).await;
    answer.refused(401, "INVALID_CREDENTIALS");
    ann.post("/api/auth/login", login("ann", "a new password"))
        .await
        .ok(200);
}

#[tokio::test]
async fn a_bad_change_of_password_changes_nothing() {
    let server = Server::start().await;
    let ann = server.person("ann").await;
    let change = |current: &str, new: &str, confirm: &str| json!({"currentPassword": current, "newPassword": new, "confirmPassword": confirm});
    let answer = ann
        .put(
            "/api/auth/change-password",
            change("wrong one", "a new password", "a new password"),
        )
        .await;
    answer.refused(400, "INVALID_CURRENT_PASSWORD");
    let answer = ann
        .put(
            "/api/auth/change-password",
            change(&ann.password, "a new password", "another one"),
        )
        .await;
    answer.refused_for(&["confirmPassword"]);
    assert!(!answer.text.contains("another one"));
    let answer = ann
        .put("/api/auth/change-password", change(&ann.password, "short", "short"))
        .await;
    answer.refused_for(&["newPassword"]);
    ann.put("/api/auth/change-password", json!({})).await.refused_for(&[
        "currentPassword",
        "newPassword",
        "confirmPassword",
    ]);
    // What is wrong with the fields is told before the current password is looked at.
    let answer = ann
        .put("/api/auth/change-password", change("wrong one", "short", "short"))
        .await;
    answer.refused_for(&["newPassword"]);
    ann.profile().await.ok(200);
    server.session_of(&ann).await;
}
