//! Register, login, refresh, logout.

use std::time::{Duration, Instant};

use chat_spec::{Requirement, req};
use serde_json::{Value, json};

use crate::cases;
use crate::engine::{Answer, Outcome, PASSWORD, Stop, User, World};

cases!("auth":
    register_answers_with_the_user_and_tokens [
        HEADERS_SECURITY_NO_STORE, IDS_FORMAT_OPAQUE, JSON_REQUEST_UNKNOWN_IGNORED, JSON_REQUEST_UNKNOWN_NEVER_STORED,
        JSON_RESPONSE_NAMED_OBJECT, JSON_RESPONSE_NULLS_PRESENT, REGISTER_EMAIL_LOWER_CASE, REGISTER_SUCCESS_CREATED,
        REGISTER_SUCCESS_LOGGED_IN, REGISTER_USERNAME_AS_WRITTEN, SHAPES_TOKENS_FIELDS,
        SHAPES_USER_LAST_SEEN_NULL_FIRST, SHAPES_USER_OWN_FIELDS, TIMESTAMPS_FORMAT_RFC3339_MILLIS,
    ],
    register_checks_every_field [
        ERRORS_DETAILS_ALL_FIELDS_AT_ONCE, ERRORS_DETAILS_NO_ECHO, ERRORS_DETAILS_ONE_PER_FIELD, REGISTER_CONFIRM_EQUAL,
        REGISTER_EMAIL_FORMAT, REGISTER_PASSWORD_LENGTH, REGISTER_USERNAME_FORMAT,
    ],
    register_keeps_names_unique [REGISTER_EMAIL_TAKEN, REGISTER_USERNAME_TAKEN],
    racing_registrations_have_one_winner [REGISTER_RACE_ONE_WINS],
    passwords_count_to_the_last_character [
        LENGTHS_UNIT_UNICODE_SCALARS, REGISTER_PASSWORD_NEVER_CUT, REGISTER_PASSWORD_NO_COMPOSITION,
    ],
    login_by_name_and_email [
        HEADERS_SECURITY_NO_STORE, LOGIN_IDENTIFIER_EMAIL, LOGIN_IDENTIFIER_USERNAME, LOGIN_MISSING_FIELDS,
        LOGIN_SESSIONS_MANY, LOGIN_SUCCESS_SESSION, TOKEN_UNIQUE_EACH,
    ],
    wrong_credentials_look_alike [
        LOGIN_CREDENTIALS_UNKNOWN_ALIKE, LOGIN_CREDENTIALS_UNKNOWN_COST, LOGIN_CREDENTIALS_WRONG,
    ],
    inactive_accounts [
        LOGIN_INACTIVE_AFTER_PASSWORD, LOGIN_INACTIVE_WRONG_PASSWORD, SEND_TO_INACTIVE, SOCKET_SESSION_END,
        TOKEN_INACTIVE_USER_INVALID, USERS_SEARCH_INACTIVE_ABSENT,
    ],
    refresh_rotates [
        HEADERS_SECURITY_NO_STORE, REFRESH_INVALID_CODE, REFRESH_OLD_ACCESS_LIVES, REFRESH_SUCCESS_ROTATED,
        TOKEN_KINDS_ACCESS_AS_REFRESH, TOKEN_KINDS_REFRESH_AS_ACCESS,
    ],
    a_reused_refresh_token_ends_the_session [
        REFRESH_REUSE_CLOSES_SOCKETS, REFRESH_REUSE_CODE, REFRESH_REUSE_ENDS_SESSION, REFRESH_REUSE_OTHERS_LIVE,
    ],
    whoever_gives_a_refresh_token_takes_it [PASSWORD_CHANGE_TOKENS, REFRESH_SUCCESS_ROTATED],
    racing_refreshes_have_one_winner [REFRESH_RACE_ONE_WINS],
    logout_ends_one_session [
        JSON_REQUEST_BODY_IGNORED, LOGOUT_OTHERS_LIVE, LOGOUT_SOCKETS_DISCONNECTED, LOGOUT_SUCCESS_NO_CONTENT,
        LOGOUT_TOKENS_DIE, SOCKET_SESSION_END, TOKEN_ENDED_SESSION_INVALID,
    ],
);

async fn register(w: &World, body: &Value) -> Result<Answer, Stop> {
    w.request("POST", "/api/auth/register").json(body).send().await
}

async fn register_answers_with_the_user_and_tokens(w: World) -> Outcome {
    let mut body = w.registration("Ann");
    body["email"] = body["email"].as_str().unwrap_or_default().to_uppercase().into();
    body["isActive"] = false.into();
    body["id"] = "chosen".into();
    body["status"] = "busy".into();
    let answer = register(&w, &body).await?;
    w.success(&req::REGISTER_SUCCESS_CREATED, &answer, 201, Some("SessionResponse"))?;
    w.check(&req::JSON_REQUEST_UNKNOWN_IGNORED, true, "", "");
    let user = &answer.body["user"];
    w.equal(
        &req::REGISTER_USERNAME_AS_WRITTEN,
        "username",
        body["username"].clone(),
        user["username"].clone(),
    );
    w.equal(
        &req::REGISTER_EMAIL_LOWER_CASE,
        "email",
        body["email"].as_str().unwrap_or_default().to_lowercase(),
        user["email"].clone(),
    );
    w.equal(
        &req::SHAPES_USER_LAST_SEEN_NULL_FIRST,
        "lastSeen",
        Value::Null,
        user["lastSeen"].clone(),
    );
    w.check(
        &req::JSON_REQUEST_UNKNOWN_NEVER_STORED,
        user["id"] != "chosen" && user["status"] == "offline",
        "a server-made id, offline",
        user,
    );
    w.shaped(&req::SHAPES_USER_OWN_FIELDS, "OwnUser", user);
    w.shaped(&req::SHAPES_TOKENS_FIELDS, "Tokens", &answer.body["tokens"]);
    w.shaped(&req::IDS_FORMAT_OPAQUE, "Id", &user["id"]);
    w.shaped(&req::TIMESTAMPS_FORMAT_RFC3339_MILLIS, "Timestamp", &user["createdAt"]);
    w.check(
        &req::JSON_RESPONSE_NAMED_OBJECT,
        answer.body.get("success").is_none(),
        "no success flag",
        &answer.body["success"],
    );
    w.check(
        &req::JSON_RESPONSE_NULLS_PRESENT,
        user.get("bio").is_some() && user.get("profilePicture").is_some(),
        "bio and profilePicture",
        user,
    );
    w.check(
        &req::HEADERS_SECURITY_NO_STORE,
        answer.may_not_be_stored(),
        "Cache-Control with no-store",
        answer.header("cache-control"),
    );
    let me = User::of(&w, &w.target.base, &answer);
    let profile = me.get("/api/auth/profile").await?;
    w.success(&req::REGISTER_SUCCESS_LOGGED_IN, &profile, 200, Some("OwnUserResponse"))
}

async fn register_checks_every_field(w: World) -> Outcome {
    let good = w.registration("ann");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for bad in [
        json!("ab"),
        json!("a".repeat(31)),
        json!("has space"),
        json!("uml\u{e4}ut"),
        json!("a/b"),
        json!(7),
        json!(null),
    ] {
        w.invalid(
            &req::REGISTER_USERNAME_FORMAT,
            &register(&w, &with("username", bad)).await?,
            &["username"],
        );
    }
    for bad in [
        json!("no-at"),
        json!("@x.org"),
        json!("a@"),
        json!("a b@x.org"),
        json!(""),
        json!([]),
    ] {
        w.invalid(
            &req::REGISTER_EMAIL_FORMAT,
            &register(&w, &with("email", bad)).await?,
            &["email"],
        );
    }
    for bad in ["short77", &"x".repeat(129)] {
        let mut body = with("password", json!(bad));
        body["confirmPassword"] = json!(bad);
        let answer = register(&w, &body).await?;
        w.invalid(&req::REGISTER_PASSWORD_LENGTH, &answer, &["password"]);
        w.check(
            &req::ERRORS_DETAILS_NO_ECHO,
            !answer.text.contains(bad),
            "no password in the answer",
            &answer.text,
        );
    }
    w.invalid(
        &req::REGISTER_CONFIRM_EQUAL,
        &register(&w, &with("confirmPassword", json!("something else"))).await?,
        &["confirmPassword"],
    );
    let nothing = register(&w, &json!({})).await?;
    let all = ["username", "email", "password", "confirmPassword"];
    w.invalid(&req::ERRORS_DETAILS_ALL_FIELDS_AT_ONCE, &nothing, &all);
    let mut seen = nothing.details();
    seen.sort_unstable();
    seen.dedup();
    w.check(
        &req::ERRORS_DETAILS_ONE_PER_FIELD,
        seen.len() == nothing.details().len(),
        "one detail per field",
        format!("{:?}", nothing.details()),
    );
    Ok(())
}

async fn register_keeps_names_unique(w: World) -> Outcome {
    let user = w.user("Unique").await?;
    let mut body = w.registration("other");
    body["username"] = user.username.to_uppercase().into();
    w.refused(
        &req::REGISTER_USERNAME_TAKEN,
        &register(&w, &body).await?,
        409,
        "USERNAME_TAKEN",
    );
    let mut body = w.registration("other");
    body["email"] = user.email.to_uppercase().into();
    w.refused(
        &req::REGISTER_EMAIL_TAKEN,
        &register(&w, &body).await?,
        409,
        "EMAIL_TAKEN",
    );
    Ok(())
}

async fn racing_registrations_have_one_winner(w: World) -> Outcome {
    let body = w.registration("race");
    let answers = w.race((0..4).map(|_| register(&w, &body))).await?;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    w.check(
        &req::REGISTER_RACE_ONE_WINS,
        statuses == [201, 409, 409, 409],
        "one 201 and three 409",
        format!("{statuses:?}"),
    );
    Ok(())
}

async fn passwords_count_to_the_last_character(w: World) -> Outcome {
    let long = format!("{}\u{1f511}", "p".repeat(127));
    let mut body = w.registration("long");
    body["password"] = long.clone().into();
    body["confirmPassword"] = long.clone().into();
    let answer = register(&w, &body).await?;
    w.success(&req::REGISTER_PASSWORD_NO_COMPOSITION, &answer, 201, None)?;
    w.check(&req::LENGTHS_UNIT_UNICODE_SCALARS, true, "", "");
    let user = User::of(&w, &w.target.base, &answer);
    let cut = json!({"identifier": user.username, "password": "p".repeat(127)});
    w.refused(
        &req::REGISTER_PASSWORD_NEVER_CUT,
        &login(&w, &cut).await?,
        401,
        "INVALID_CREDENTIALS",
    );
    let whole = json!({"identifier": user.username, "password": long});
    w.success(
        &req::REGISTER_PASSWORD_NEVER_CUT,
        &login(&w, &whole).await?,
        200,
        Some("SessionResponse"),
    )
}

async fn login(w: &World, body: &Value) -> Result<Answer, Stop> {
    w.request("POST", "/api/auth/login").json(body).send().await
}

async fn login_by_name_and_email(w: World) -> Outcome {
    let user = w.user("Login").await?;
    let password = crate::engine::PASSWORD;
    let by_name = login(
        &w,
        &json!({"identifier": user.username.to_uppercase(), "password": password}),
    )
    .await?;
    w.success(&req::LOGIN_IDENTIFIER_USERNAME, &by_name, 200, Some("SessionResponse"))?;
    w.equal(
        &req::LOGIN_SUCCESS_SESSION,
        "id",
        user.id.clone(),
        by_name.body["user"]["id"].clone(),
    );
    w.check(
        &req::HEADERS_SECURITY_NO_STORE,
        by_name.may_not_be_stored(),
        "Cache-Control with no-store",
        by_name.header("cache-control"),
    );
    let by_email = login(
        &w,
        &json!({"identifier": user.email.to_uppercase(), "password": password}),
    )
    .await?;
    w.success(&req::LOGIN_IDENTIFIER_EMAIL, &by_email, 200, Some("SessionResponse"))?;
    let tokens = [
        user.access.as_str(),
        by_name.text_at("/tokens/accessToken"),
        by_email.text_at("/tokens/accessToken"),
    ];
    w.check(
        &req::TOKEN_UNIQUE_EACH,
        tokens[0] != tokens[1] && tokens[1] != tokens[2],
        "three tokens",
        "equal ones",
    );
    for session in [&user, &user.with_tokens(&by_name), &user.with_tokens(&by_email)] {
        w.success(
            &req::LOGIN_SESSIONS_MANY,
            &session.get("/api/auth/profile").await?,
            200,
            None,
        )?;
    }
    w.invalid(
        &req::LOGIN_MISSING_FIELDS,
        &login(&w, &json!({})).await?,
        &["identifier", "password"],
    );
    Ok(())
}

/// How long logins are compared at most.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

async fn wrong_credentials_look_alike(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let wrong = login(
        &w,
        &json!({"identifier": user.username, "password": "not the password"}),
    )
    .await?;
    w.refused(&req::LOGIN_CREDENTIALS_WRONG, &wrong, 401, "INVALID_CREDENTIALS");
    let unknown = login(
        &w,
        &json!({"identifier": "nobody_of_this_name", "password": "not the password"}),
    )
    .await?;
    let bare = |answer: &Answer| {
        let mut body = answer.body.clone();
        body["requestId"] = Value::Null;
        (answer.status, body)
    };
    w.check(
        &req::LOGIN_CREDENTIALS_UNKNOWN_ALIKE,
        bare(&wrong) == bare(&unknown),
        &wrong.text,
        &unknown.text,
    );
    // One after the other they wait about as long for the machine and for other logins. Of what is left to chance, the middle of several
    // pairs has little.
    let took = async |identifier: &str| {
        let body = json!({"identifier": identifier, "password": "not the password"});
        // What it answers is judged elsewhere.
        let answer = login(&w, &body).await?;
        Ok::<f64, Stop>(answer.took.as_secs_f64().max(1e-9))
    };
    let (mut ratios, mut middle) = (Vec::new(), f64::NAN);
    let first = Instant::now();
    let is_alike = |ratio: f64| (0.2..5.0).contains(&ratio);
    while ratios.len() < 7 || (ratios.len() < 40 && !is_alike(middle) && first.elapsed() < LONG_ENOUGH + w.waited()) {
        let nobody = "nobody_of_this_name";
        let ratio = match ratios.len() % 2 {
            0 => took(&user.username).await? / took(nobody).await?,
            _ => {
                let unknown = took(nobody).await?;
                took(&user.username).await? / unknown
            }
        };
        ratios.push(ratio);
        ratios.sort_by(f64::total_cmp);
        middle = ratios[ratios.len() / 2];
    }
    w.check(
        &req::LOGIN_CREDENTIALS_UNKNOWN_COST,
        is_alike(middle),
        "times of the same order",
        format!("a wrong password takes {middle:.2} times as long as an unknown user, in the middle of {ratios:.2?}"),
    );
    Ok(())
}

/// A server may find out only by looking from time to time what an operator did beside it.
const UNTIL_FOUND_OUT: Duration = Duration::from_secs(20);

async fn inactive_accounts(w: World) -> Outcome {
    let server = super::operated(&w).await?;
    let (ann, bob) = (
        w.user_at(&server.base, "ann").await?,
        w.user_at(&server.base, "bob").await?,
    );
    let device = bob.device().await?;
    let deactivated = server.deactivate(&bob.username).await;
    deactivated.map_err(super::inconclusive)?;
    let login = |password: &'static str| {
        bob.anonymous("POST", "/api/auth/login")
            .json(&json!({"identifier": bob.username, "password": password}))
            .send()
    };
    w.refused(
        &req::LOGIN_INACTIVE_AFTER_PASSWORD,
        &login(crate::engine::PASSWORD).await?,
        403,
        "ACCOUNT_INACTIVE",
    );
    w.refused(
        &req::LOGIN_INACTIVE_WRONG_PASSWORD,
        &login("not the password").await?,
        401,
        "INVALID_CREDENTIALS",
    );
    w.refused(
        &req::TOKEN_INACTIVE_USER_INVALID,
        &bob.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    w.refused(
        &req::SEND_TO_INACTIVE,
        &ann.send(&bob.id, "hello").await?,
        404,
        "USER_NOT_FOUND",
    );
    let found = ann.get(&format!("/api/users/search?q={}", bob.username)).await?;
    w.check(
        &req::USERS_SEARCH_INACTIVE_ABSENT,
        w.items(&req::USERS_SEARCH_INACTIVE_ABSENT, &found)?.is_empty(),
        "nobody",
        &found.text,
    );
    w.check(
        &req::SOCKET_SESSION_END,
        device.ended_within(UNTIL_FOUND_OUT).await,
        "the socket is disconnected",
        device.state(),
    );
    Ok(())
}

async fn refresh_rotates(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let refresh = |token: &str| {
        w.request("POST", "/api/auth/refresh-token")
            .json(&json!({"refreshToken": token}))
            .send()
    };
    let first = refresh(&user.refresh).await?;
    w.success(&req::REFRESH_SUCCESS_ROTATED, &first, 200, Some("TokensResponse"))?;
    w.check(
        &req::REFRESH_SUCCESS_ROTATED,
        first.text_at("/tokens/refreshToken") != user.refresh,
        "another refresh token",
        "the same",
    );
    w.check(
        &req::HEADERS_SECURITY_NO_STORE,
        first.may_not_be_stored(),
        "Cache-Control with no-store",
        first.header("cache-control"),
    );
    w.success(
        &req::REFRESH_OLD_ACCESS_LIVES,
        &user.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    w.refused(
        &req::REFRESH_INVALID_CODE,
        &refresh("garbage").await?,
        401,
        "TOKEN_INVALID",
    );
    w.refused(
        &req::TOKEN_KINDS_ACCESS_AS_REFRESH,
        &refresh(&user.access).await?,
        401,
        "TOKEN_INVALID",
    );
    let renewed = user.with_tokens(&first);
    w.refused(
        &req::TOKEN_KINDS_REFRESH_AS_ACCESS,
        &renewed
            .request("GET", "/api/auth/profile")
            .send()
            .await
            .map(|_| ())
            .and(
                w.request("GET", "/api/auth/profile")
                    .token(&renewed.refresh)
                    .send()
                    .await,
            )?,
        401,
        "TOKEN_INVALID",
    );
    Ok(())
}

async fn a_reused_refresh_token_ends_the_session(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let other = user.login().await?;
    let device = user.device().await?;
    let refresh = |token: &str| {
        w.request("POST", "/api/auth/refresh-token")
            .json(&json!({"refreshToken": token}))
            .send()
    };
    let newest = user.with_tokens(&refresh(&user.refresh).await?);
    w.refused(
        &req::REFRESH_REUSE_CODE,
        &refresh(&user.refresh).await?,
        401,
        "REFRESH_REUSED",
    );
    w.refused(
        &req::REFRESH_REUSE_ENDS_SESSION,
        &newest.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    w.refused(
        &req::REFRESH_REUSE_ENDS_SESSION,
        &refresh(&newest.refresh).await?,
        401,
        "TOKEN_INVALID",
    );
    w.check(
        &req::REFRESH_REUSE_CLOSES_SOCKETS,
        device.ended().await,
        "the socket is disconnected",
        device.state(),
    );
    w.success(
        &req::REFRESH_REUSE_OTHERS_LIVE,
        &other.get("/api/auth/profile").await?,
        200,
        None,
    )
}

async fn whoever_gives_a_refresh_token_takes_it(w: World) -> Outcome {
    let registered = w.user("ann").await?;
    let logged_in = registered.login().await?;
    let rotate = |user: User, requirement: &'static Requirement| {
        let w = w.clone();
        async move {
            let answer = w
                .request("POST", "/api/auth/refresh-token")
                .json(&json!({"refreshToken": user.refresh}))
                .send()
                .await?;
            w.success(requirement, &answer, 200, Some("TokensResponse"))?;
            let renewed = user.with_tokens(&answer);
            let profile = renewed.get("/api/auth/profile").await?;
            w.success(requirement, &profile, 200, Some("OwnUserResponse"))?;
            Ok::<User, Stop>(renewed)
        }
    };
    for user in [registered, logged_in.clone()] {
        let once = rotate(user, &req::REFRESH_SUCCESS_ROTATED).await?;
        rotate(once, &req::REFRESH_SUCCESS_ROTATED).await?;
    }
    let user = w.user("bob").await?;
    let change =
        json!({"currentPassword": PASSWORD, "newPassword": "another password", "confirmPassword": "another password"});
    let changed = user.put("/api/auth/change-password", &change).await?;
    w.success(&req::PASSWORD_CHANGE_TOKENS, &changed, 200, Some("TokensResponse"))?;
    rotate(user.with_tokens(&changed), &req::PASSWORD_CHANGE_TOKENS).await?;
    Ok(())
}

async fn racing_refreshes_have_one_winner(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let refresh = || {
        w.request("POST", "/api/auth/refresh-token")
            .json(&json!({"refreshToken": user.refresh}))
            .send()
    };
    let answers = w.race((0..4).map(|_| refresh())).await?;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    w.check(&req::REFRESH_RACE_ONE_WINS, won <= 1, "at most one 200", won);
    Ok(())
}

async fn logout_ends_one_session(w: World) -> Outcome {
    let user = w.user("ann").await?;
    let other = user.login().await?;
    let (mine, others) = (user.device().await?, other.device().await?);
    let answer = user.request("POST", "/api/auth/logout").raw("not json").send().await?;
    w.success(&req::LOGOUT_SUCCESS_NO_CONTENT, &answer, 204, None)?;
    w.check(&req::JSON_REQUEST_BODY_IGNORED, true, "", "");
    w.check(
        &req::LOGOUT_SUCCESS_NO_CONTENT,
        answer.text.is_empty(),
        "no body",
        &answer.text,
    );
    w.refused(
        &req::LOGOUT_TOKENS_DIE,
        &user.get("/api/auth/profile").await?,
        401,
        "TOKEN_INVALID",
    );
    w.refused(
        &req::TOKEN_ENDED_SESSION_INVALID,
        &user.get("/api/users/online").await?,
        401,
        "TOKEN_INVALID",
    );
    let refresh = w
        .request("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": user.refresh}))
        .send()
        .await?;
    w.refused(&req::LOGOUT_TOKENS_DIE, &refresh, 401, "TOKEN_INVALID");
    w.check(
        &req::LOGOUT_SOCKETS_DISCONNECTED,
        mine.ended().await,
        "the socket is disconnected",
        mine.state(),
    );
    w.check(
        &req::SOCKET_SESSION_END,
        !mine.is_open(),
        "the socket is disconnected",
        mine.state(),
    );
    w.success(
        &req::LOGOUT_OTHERS_LIVE,
        &other.get("/api/auth/profile").await?,
        200,
        None,
    )?;
    let bob = w.user("bob").await?;
    bob.must_send(&user.id, "still there?").await?;
    w.arrives(&req::LOGOUT_OTHERS_LIVE, &others, "new_message", |event| {
        event["content"] == "still there?"
    })
    .await?;
    w.absent(&req::LOGOUT_OTHERS_LIVE, &others, &bob, "error", |name, _| {
        name == "error"
    })
    .await?;
    let refresh = w
        .request("POST", "/api/auth/refresh-token")
        .json(&json!({"refreshToken": other.refresh}))
        .send()
        .await?;
    w.success(&req::LOGOUT_OTHERS_LIVE, &refresh, 200, None)
}
