//! The profile and the password.

use chat_spec::req;
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Outcome, PASSWORD, World};

cases!("accounts":
    the_profile_is_ones_own [PROFILE_GET_OWN, SHAPES_USER_HASH_NEVER],
    a_profile_can_be_changed [
        JSON_REQUEST_UNKNOWN_NEVER_STORED, PROFILE_UPDATE_EMPTY_NOTHING, PROFILE_UPDATE_FIELDS,
        PROFILE_UPDATE_NULL_CLEARS, PROFILE_UPDATE_OWN_CASE, PROFILE_UPDATE_VISIBLE,
    ],
    bad_profiles_change_nothing [
        PROFILE_UPDATE_ALL_OR_NOTHING, PROFILE_UPDATE_BIO_LENGTH, PROFILE_UPDATE_PICTURE_URL,
        PROFILE_UPDATE_USERNAME_NULL,
    ],
    a_username_of_somebody_else_is_taken [PROFILE_UPDATE_USERNAME_TAKEN],
    a_changed_password_counts_at_once [HEADERS_SECURITY_NO_STORE, PASSWORD_CHANGE_NEW_WORKS, PASSWORD_CHANGE_TOKENS],
    a_changed_password_ends_other_sessions [
        PASSWORD_CHANGE_OLDER_TOKENS, PASSWORD_CHANGE_OTHER_SESSIONS, PASSWORD_CHANGE_OWN_SOCKETS,
        PASSWORD_CHANGE_TOKENS,
    ],
    a_wrong_current_password_changes_nothing [PASSWORD_CHANGE_RULES, PASSWORD_CHANGE_WRONG_CURRENT],
);

async fn the_profile_is_ones_own(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let profile = user.request("GET", "/api/auth/profile").raw("ignored").send().await?;
    w.success(&req::PROFILE_GET_OWN, &profile, 200, Some("OwnUserResponse"))?;
    w.equal(
        &req::PROFILE_GET_OWN,
        "email",
        user.email.clone(),
        profile.body["user"]["email"].clone(),
    );
    w.check(
        &req::SHAPES_USER_HASH_NEVER,
        !profile.text.to_lowercase().contains("hash") && !profile.text.contains("argon2"),
        "no hash",
        &profile.text,
    );
    Ok(())
}

async fn a_profile_can_be_changed(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let put = |body: Value| {
        let ann = ann.clone();
        async move { ann.put("/api/auth/profile", &body).await }
    };
    let changed = put(json!({"bio": "b\u{1f600}".repeat(250), "email": "new@example.org", "isActive": false})).await?;
    w.success(&req::PROFILE_UPDATE_FIELDS, &changed, 200, Some("OwnUserResponse"))?;
    w.equal(
        &req::JSON_REQUEST_UNKNOWN_NEVER_STORED,
        "email",
        ann.email.clone(),
        changed.body["user"]["email"].clone(),
    );
    let picture = put(json!({"profilePicture": "https://cdn.example/a.png"})).await?;
    w.equal(
        &req::PROFILE_UPDATE_FIELDS,
        "profilePicture",
        "https://cdn.example/a.png",
        picture.body["user"]["profilePicture"].clone(),
    );
    w.equal(
        &req::PROFILE_UPDATE_FIELDS,
        "bio",
        changed.body["user"]["bio"].clone(),
        picture.body["user"]["bio"].clone(),
    );
    let seen = bob.get(&format!("/api/users/{}", ann.id)).await?;
    w.equal(
        &req::PROFILE_UPDATE_VISIBLE,
        "profilePicture",
        "https://cdn.example/a.png",
        seen.body["user"]["profilePicture"].clone(),
    );
    let same = put(json!({})).await?;
    w.success(&req::PROFILE_UPDATE_EMPTY_NOTHING, &same, 200, Some("OwnUserResponse"))?;
    w.equal(
        &req::PROFILE_UPDATE_EMPTY_NOTHING,
        "user",
        picture.body["user"].clone(),
        same.body["user"].clone(),
    );
    let cleared = put(json!({"bio": null, "profilePicture": null})).await?;
    let nulls = cleared.body["user"]["bio"].is_null() && cleared.body["user"]["profilePicture"].is_null();
    w.check(&req::PROFILE_UPDATE_NULL_CLEARS, nulls, "null and null", &cleared.text);
    let recased = put(json!({"username": ann.username.to_uppercase()})).await?;
    w.equal(
        &req::PROFILE_UPDATE_OWN_CASE,
        "username",
        ann.username.to_uppercase(),
        recased.body["user"]["username"].clone(),
    );
    Ok(())
}

async fn bad_profiles_change_nothing(w: World) -> Outcome {
    let user = w.user("ann").await?;
    for (requirement, field, value) in [
        (&req::PROFILE_UPDATE_BIO_LENGTH, "bio", json!("b".repeat(501))),
        (&req::PROFILE_UPDATE_BIO_LENGTH, "bio", json!(7)),
        (&req::PROFILE_UPDATE_USERNAME_NULL, "username", json!(null)),
        (
            &req::PROFILE_UPDATE_PICTURE_URL,
            "profilePicture",
            json!("http://cdn.example/a.png"),
        ),
        (
            &req::PROFILE_UPDATE_PICTURE_URL,
            "profilePicture",
            json!("javascript:alert(1)"),
        ),
        (
            &req::PROFILE_UPDATE_PICTURE_URL,
            "profilePicture",
            json!(format!("https://x.org/{}", "p".repeat(2048))),
        ),
    ] {
        w.invalid(
            requirement,
            &user.put("/api/auth/profile", &json!({field: value})).await?,
            &[field],
        );
    }
    let half = user
        .put("/api/auth/profile", &json!({"bio": "good", "username": "x"}))
        .await?;
    w.invalid(&req::PROFILE_UPDATE_ALL_OR_NOTHING, &half, &["username"]);
    let after = user.get("/api/auth/profile").await?;
    w.equal(
        &req::PROFILE_UPDATE_ALL_OR_NOTHING,
        "bio",
        Value::Null,
        after.body["user"]["bio"].clone(),
    );
    Ok(())
}

async fn a_username_of_somebody_else_is_taken(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let answer = ann
        .put("/api/auth/profile", &json!({"username": bob.username.to_uppercase()}))
        .await?;
    w.refused(&req::PROFILE_UPDATE_USERNAME_TAKEN, &answer, 409, "USERNAME_TAKEN");
    Ok(())
}

fn change(current: &str, new: &str) -> Value {
    json!({"currentPassword": current, "newPassword": new, "confirmPassword": new})
}

async fn a_changed_password_counts_at_once(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let answer = user
        .put("/api/auth/change-password", &change(PASSWORD, "another password"))
        .await?;
    w.success(&req::PASSWORD_CHANGE_TOKENS, &answer, 200, Some("TokensResponse"))?;
    w.check(
        &req::HEADERS_SECURITY_NO_STORE,
        answer.may_not_be_stored(),
        "Cache-Control with no-store",
        answer.header("cache-control"),
    );
    let login = |password: &'static str| {
        w.request("POST", "/api/auth/login")
            .json(&json!({"identifier": user.username, "password": password}))
            .send()
    };
    w.refused(
        &req::PASSWORD_CHANGE_NEW_WORKS,
        &login(PASSWORD).await?,
        401,
        "INVALID_CREDENTIALS",
    );
    w.success(
        &req::PASSWORD_CHANGE_NEW_WORKS,
        &login("another password").await?,
        200,
        Some("SessionResponse"),
    )
}

async fn a_changed_password_ends_other_sessions(w: World) -> Outcome {
    let (user, bob) = (w.user("ann").await?, w.user("bob").await?);
    let other = user.login().await?;
    let (mine, others) = (user.device().await?, other.device().await?);
    let answer = user
        .put("/api/auth/change-password", &change(PASSWORD, "another password"))
        .await?;
    w.success(&req::PASSWORD_CHANGE_TOKENS, &answer, 200, Some("TokensResponse"))?;
    let renewed = user.with_tokens(&answer);
    w.success(
        &req::PASSWORD_CHANGE_TOKENS,
        &renewed.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    w.refused(
        &req::PASSWORD_CHANGE_OLDER_TOKENS,
        &user.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    let refresh = w
        .request("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": user.refresh}))
        .send()
        .await?;
    w.refused(&req::PASSWORD_CHANGE_OLDER_TOKENS, &refresh, 401, "TOKEN_INVALID");
    w.refused(
        &req::PASSWORD_CHANGE_OTHER_SESSIONS,
        &other.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    w.check(
        &req::PASSWORD_CHANGE_OTHER_SESSIONS,
        others.ended().await,
        "the other socket is disconnected",
        others.state(),
    );
    bob.must_send(&user.id, "still there?").await?;
    w.arrives(&req::PASSWORD_CHANGE_OWN_SOCKETS, &mine, "new_message", |p| {
        p["content"] == "still there?"
    })
    .await?;
    Ok(())
}

async fn a_wrong_current_password_changes_nothing(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let wrong = user
        .put(
            "/api/auth/change-password",
            &change("not the password", "another password"),
        )
        .await?;
    w.refused(
        &req::PASSWORD_CHANGE_WRONG_CURRENT,
        &wrong,
        400,
        "INVALID_CURRENT_PASSWORD",
    );
    let short = user
        .put("/api/auth/change-password", &change(PASSWORD, "short"))
        .await?;
    w.invalid(&req::PASSWORD_CHANGE_RULES, &short, &["newPassword"]);
    let mut body = change(PASSWORD, "another password");
    body["confirmPassword"] = "different".into();
    w.invalid(
        &req::PASSWORD_CHANGE_RULES,
        &user.put("/api/auth/change-password", &body).await?,
        &["confirmPassword"],
    );
    w.success(
        &req::PASSWORD_CHANGE_WRONG_CURRENT,
        &user.get("/api/auth/profile").await?,
        200,
        None,
    )
}
