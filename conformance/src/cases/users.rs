//! Looking at users.

use chat_spec::req;
use serde_json::json;

use crate::cases;
use crate::engine::{Answer, Outcome, World};

cases!("users":
    a_user_is_public [
        SHAPES_USER_EMAIL_PRIVATE, SHAPES_USER_PUBLIC_FIELDS, SHAPES_USER_STATUS_VALUES, USERS_GET_PUBLIC,
        USERS_STATUS_SHAPE,
    ],
    unknown_users [IDS_HOSTILE_NO_5XX, IDS_MALFORMED_SAME_AS_UNKNOWN, USERS_GET_UNKNOWN, USERS_STATUS_UNKNOWN],
    users_are_found_by_name [
        LISTS_CURSOR_GROWING, LISTS_CURSOR_WALK_COMPLETE, USERS_SEARCH_CONTAINS, USERS_SEARCH_ORDER,
        USERS_SEARCH_PREFIX,
    ],
    users_are_not_found_otherwise [USERS_SEARCH_METACHARACTERS, USERS_SEARCH_NEVER_EMAIL, USERS_SEARCH_QUERY_LENGTH],
    short_queries_find_what_they_mean [USERS_SEARCH_CONTAINS_SHORT],
    who_is_online [USERS_ONLINE_AWAY_ABSENT, USERS_ONLINE_LISTS],
    the_list_of_online_users_is_whole [LISTS_CURSOR_WALK_COMPLETE, USERS_ONLINE_AWAY_ABSENT, USERS_ONLINE_LISTS],
);

async fn a_user_is_public(w: World) -> Outcome {
    let (ann, bob) = (w.user("ann").await?, w.user("bob").await?);
    let shown = ann.get(&format!("/api/users/{}", bob.id)).await?;
    w.success(&req::USERS_GET_PUBLIC, &shown, 200, Some("UserResponse"))?;
    w.shaped(&req::SHAPES_USER_PUBLIC_FIELDS, "User", &shown.body["user"]);
    w.equal(
        &req::USERS_GET_PUBLIC,
        "id and username",
        json!([bob.id, bob.username]),
        json!([shown.body["user"]["id"], shown.body["user"]["username"]]),
    );
    w.check(
        &req::SHAPES_USER_EMAIL_PRIVATE,
        !shown.text.contains("@example.org"),
        "no email",
        &shown.text,
    );
    w.check(
        &req::SHAPES_USER_STATUS_VALUES,
        shown.body["user"]["status"] == "offline",
        "offline",
        &shown.text,
    );
    let status = ann.get(&format!("/api/users/{}/status", bob.id)).await?;
    w.success(&req::USERS_STATUS_SHAPE, &status, 200, Some("UserStatus"))?;
    w.equal(
        &req::USERS_STATUS_SHAPE,
        "userId, status, lastSeen",
        json!([bob.id, "offline", null]),
        json!([
            status.body["userId"],
            status.body["status"],
            status.body.get("lastSeen")
        ]),
    );
    Ok(())
}

async fn unknown_users(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let unknown = ann.get("/api/users/ffffffffffffffffffffffff").await?;
    w.refused(&req::USERS_GET_UNKNOWN, &unknown, 404, "USER_NOT_FOUND");
    w.refused(
        &req::USERS_STATUS_UNKNOWN,
        &ann.get("/api/users/ffffffffffffffffffffffff/status").await?,
        404,
        "USER_NOT_FOUND",
    );
    for id in [
        "x",
        "%27%20OR%201=1",
        "a%00b",
        "%F0%9F%98%80",
        "..%2F..%2Fetc",
        "%7B%22%24gt%22%3A%22%22%7D",
        &"9".repeat(300),
    ] {
        let answer = ann.get(&format!("/api/users/{id}")).await?;
        w.check(
            &req::IDS_MALFORMED_SAME_AS_UNKNOWN,
            answer.status == 404
                && answer.code() == unknown.code()
                && answer.body["message"] == unknown.body["message"],
            &unknown.text,
            &answer.text,
        );
        w.check(&req::IDS_HOSTILE_NO_5XX, answer.status < 500, "no 5xx", answer.status);
    }
    Ok(())
}

async fn users_are_found_by_name(w: World) -> Outcome {
    let ann = w.user("Findme").await?;
    let mark = ann.username.split('_').next_back().unwrap_or_default().to_owned();
    let begins = ann
        .get(&format!("/api/users/search?q={}", ann.username.to_uppercase()))
        .await?;
    w.success(&req::USERS_SEARCH_PREFIX, &begins, 200, Some("UsersResponse"))?;
    w.equal(
        &req::USERS_SEARCH_PREFIX,
        "found",
        json!([ann.id]),
        json!(begins.items()?.iter().map(|u| u["id"].clone()).collect::<Vec<_>>()),
    );
    let contains = ann.get(&format!("/api/users/search?q={mark}")).await?;
    w.equal(
        &req::USERS_SEARCH_CONTAINS,
        "found",
        1,
        w.items(&req::USERS_SEARCH_CONTAINS, &contains)?.len(),
    );
    let mark = format!("o{}", &mark[..6]);
    let (c, b) = (
        w.user(&format!("{mark}c")).await?,
        w.user(&format!("{}b", mark.to_uppercase())).await?,
    );
    // What begins with it and what only contains it are one list, and in this order whether capitals come first or not.
    let d = w.user(&format!("D{mark}")).await?;
    let query = format!("/api/users/search?q={mark}");
    let expected = json!([d.id, b.id, c.id]);
    let ids = |requirement, page: &Answer| {
        let items = w.items(requirement, page)?;
        Ok(items.iter().map(|user| user["id"].clone()).collect::<Vec<_>>())
    };
    w.equal(
        &req::USERS_SEARCH_ORDER,
        "ids",
        expected.clone(),
        json!(ids(&req::USERS_SEARCH_ORDER, &ann.get(&query).await?)?),
    );
    for (requirement, grows) in [
        (&req::LISTS_CURSOR_WALK_COMPLETE, false),
        (&req::LISTS_CURSOR_GROWING, true),
    ] {
        let (mut seen, mut newcomer, mut next) = (Vec::new(), None, format!("{query}&limit=1"));
        for _ in 0..6 {
            let page = ann.get(&next).await?;
            seen.extend(ids(requirement, &page)?);
            let Some(cursor) = page.cursor() else { break };
            next = format!("{query}&limit=1&cursor={cursor}");
            if grows && newcomer.is_none() {
                // Before all of them.
                newcomer = Some(w.user(&format!("A{mark}")).await?.id);
            }
        }
        seen.retain(|id| newcomer.as_deref().is_none_or(|newcomer| id != newcomer));
        w.equal(requirement, "pages of one", expected.clone(), json!(seen));
    }
    Ok(())
}

async fn users_are_not_found_otherwise(w: World) -> Outcome {
    let ann = w.user("ann").await?;
    let by_email = ann.get(&format!("/api/users/search?q={}", ann.email)).await?;
    w.check(
        &req::USERS_SEARCH_NEVER_EMAIL,
        w.items(&req::USERS_SEARCH_NEVER_EMAIL, &by_email)?.is_empty(),
        "nobody",
        &by_email.text,
    );
    let domain = ann.get("/api/users/search?q=example.org").await?;
    w.check(
        &req::USERS_SEARCH_NEVER_EMAIL,
        w.items(&req::USERS_SEARCH_NEVER_EMAIL, &domain)?.is_empty(),
        "nobody",
        &domain.text,
    );
    for query in ["%25", "%25%25%25", ".*.*", "(", "%5B", "___x%25", "%00%00%00"] {
        let answer = ann.get(&format!("/api/users/search?q={query}")).await?;
        w.success(&req::USERS_SEARCH_METACHARACTERS, &answer, 200, Some("UsersResponse"))?;
        w.check(
            &req::USERS_SEARCH_METACHARACTERS,
            answer.items()?.is_empty(),
            "nobody",
            &answer.text,
        );
    }
    w.invalid(
        &req::USERS_SEARCH_QUERY_LENGTH,
        &ann.get("/api/users/search").await?,
        &["q"],
    );
    w.invalid(
        &req::USERS_SEARCH_QUERY_LENGTH,
        &ann.get("/api/users/search?q=").await?,
        &["q"],
    );
    w.invalid(
        &req::USERS_SEARCH_QUERY_LENGTH,
        &ann.get(&format!("/api/users/search?q={}", "q".repeat(51))).await?,
        &["q"],
    );
    Ok(())
}

async fn who_is_online(w: World) -> Outcome {
    let (ann, bob, eve) = (w.user("ann").await?, w.user("bob").await?, w.user("eve").await?);
    let (_a1, _b1) = (ann.device().await?, bob.device().await?);
    for user in [&ann, &bob] {
        super::status_when(&w, &ann, user, |shown| shown["status"] == "online").await?;
    }
    let mut seen = Vec::new();
    let (mut query, mut pages) = ("?limit=100".to_owned(), 0);
    loop {
        let page = ann.get(&format!("/api/users/online{query}")).await?;
        w.success(&req::USERS_ONLINE_LISTS, &page, 200, Some("UsersResponse"))?;
        seen.extend(
            page.items()?
                .iter()
                .filter_map(|user| user["id"].as_str().map(str::to_owned)),
        );
        let Some(cursor) = page.cursor() else { break };
        query = format!("?limit=100&cursor={cursor}");
        pages += 1;
        if pages == super::MOST_PAGES {
            return Err(super::endless());
        }
    }
    w.check(
        &req::USERS_ONLINE_LISTS,
        seen.contains(&ann.id) && seen.contains(&bob.id),
        "ann and bob",
        seen.len(),
    );
    w.check(
        &req::USERS_ONLINE_AWAY_ABSENT,
        !seen.contains(&eve.id),
        "not eve",
        "eve",
    );
    Ok(())
}

/// Where nobody else comes, the list is known to the last of them.
async fn the_list_of_online_users_is_whole(w: World) -> Outcome {
    let server = super::launch(&w, &[]).await?;
    let mut users = Vec::new();
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        users.push(w.user_at(&server.base, name).await?);
    }
    let (ann, dan, eve) = (&users[0], &users[3], &users[4]);
    let nobody = ann.get("/api/users/online").await?;
    w.check(
        &req::USERS_ONLINE_AWAY_ABSENT,
        w.items(&req::USERS_ONLINE_LISTS, &nobody)?.is_empty(),
        "nobody before anybody connects",
        &nobody.text,
    );
    let mut devices = Vec::new();
    for user in &users[..4] {
        devices.push(user.device().await?);
    }
    // Dan was here, and is gone when his partner hears of it. Eve never came.
    dan.must_send(&ann.id, "hello").await?;
    if let Some(device) = devices.pop() {
        device.disconnect().await;
    }
    let gone = devices[0]
        .take("user_offline", |event| event["userId"] == dan.id.as_str())
        .await;
    w.check(
        &req::PRESENCE_OFFLINE_LAST_DEVICE,
        gone.is_some(),
        "user_offline of dan",
        devices[0].names(),
    );
    let mut expected: Vec<&str> = users[..3].iter().map(|user| user.id.as_str()).collect();
    expected.sort_unstable();
    for limit in [1, 2, 3, 100] {
        let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
        for _ in 0..5 {
            let page = ann.get(&format!("/api/users/online{query}")).await?;
            w.success(&req::USERS_ONLINE_LISTS, &page, 200, Some("UsersResponse"))?;
            let ids = page.items()?.iter().filter_map(|user| user["id"].as_str());
            seen.extend(ids.map(str::to_owned));
            let Some(cursor) = page.cursor() else { break };
            query = format!("?limit={limit}&cursor={cursor}");
        }
        for absent in [dan, eve] {
            w.check(
                &req::USERS_ONLINE_AWAY_ABSENT,
                !seen.contains(&absent.id),
                format!("not {}", absent.username),
                format!("{seen:?}"),
            );
        }
        seen.retain(|id| *id != dan.id && *id != eve.id);
        seen.sort_unstable();
        w.check(
            &req::LISTS_CURSOR_WALK_COMPLETE,
            seen == expected,
            format!("{expected:?} in pages of {limit}"),
            format!("{seen:?}"),
        );
    }
    Ok(())
}

async fn short_queries_find_what_they_mean(w: World) -> Outcome {
    let ann = w.user("zq").await?;
    for query in ["zq", "q_"] {
        let found = ann.get(&format!("/api/users/search?q={query}&limit=50")).await?;
        w.success(&req::USERS_SEARCH_CONTAINS_SHORT, &found, 200, Some("UsersResponse"))?;
        let contains = |user: &serde_json::Value| {
            let name = user["username"].as_str().unwrap_or_default();
            name.to_ascii_lowercase().contains(query)
        };
        w.check(
            &req::USERS_SEARCH_CONTAINS_SHORT,
            found.items()?.iter().all(contains),
            format!("only names that contain {query}"),
            &found.text,
        );
    }
    Ok(())
}
