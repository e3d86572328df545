//! Accounts and last-seen times.

use chat_protocol::{ProfileUpdate, Timestamp};

use super::Bench;
use crate::store::{CreateOutcome, ProfileOutcome};

pub(crate) async fn names_and_emails_are_unique_ignoring_case(b: Bench) {
    b.user("Ann").await;
    let mut same_name = b.new_user("aNN");
    same_name.email = "other@example.com".into();
    let outcome = b.store.create_user(same_name).await.unwrap();
    assert_eq!(outcome, CreateOutcome::UsernameTaken);
    let mut same_email = b.new_user("Bob");
    same_email.email = "ann@example.com".into();
    assert_eq!(
        b.store.create_user(same_email).await.unwrap(),
        CreateOutcome::EmailTaken
    );
    for identifier in ["ann", "ANN", "Ann@Example.COM"] {
        let (user, _) = b.store.credentials(identifier).await.unwrap().unwrap();
        assert_eq!(user.username, "Ann");
    }
    assert!(b.store.credentials("bob").await.unwrap().is_none());
}

pub(crate) async fn unknown_users_are_left_out(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    let found = b.store.users(&[bob.clone(), b.ids.user(), ann.clone()]).await.unwrap();
    assert_eq!(found.iter().map(|u| &u.id).collect::<Vec<_>>(), [&bob, &ann]);
}

pub(crate) async fn profiles_change_in_part(b: Bench) {
    let ann = b.user("ann").await;
    b.user("bob").await;
    let update = |username: Option<&str>, bio: Option<Option<&str>>| ProfileUpdate {
        username: username.map(Into::into),
        bio: bio.map(|bio| bio.map(Into::into)),
        profile_picture: None,
    };
    let changed = b
        .store
        .update_profile(&ann, update(Some("Anna"), Some(Some("hello"))))
        .await
        .unwrap();
    let ProfileOutcome::Updated(user) = changed else {
        panic!("{changed:?}")
    };
    assert_eq!((user.username.as_str(), user.bio.as_deref()), ("Anna", Some("hello")));
    let taken = b
        .store
        .update_profile(&ann, update(Some("BOB"), Some(None)))
        .await
        .unwrap();
    assert_eq!(taken, ProfileOutcome::UsernameTaken);
    let user = b.store.user(&ann).await.unwrap().unwrap();
    assert_eq!(
        (user.username.as_str(), user.bio.as_deref()),
        ("Anna", Some("hello")),
        "a refusal changes nothing"
    );
    b.store
        .update_profile(&ann, update(Some("ANNA"), Some(None)))
        .await
        .unwrap();
    let user = b.store.user(&ann).await.unwrap().unwrap();
    assert_eq!(
        (user.username.as_str(), user.bio),
        ("ANNA", None),
        "one's own name in another case is free"
    );
    let found = b.store.search_users("anna", None, 10).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let gone = b.store.update_profile(&b.ids.user(), update(None, None)).await.unwrap();
    assert_eq!(gone, ProfileOutcome::NotFound);
}

pub(crate) async fn deactivated_users_keep_their_record(b: Bench) {
    let ann = b.user("ann").await;
    assert!(b.store.set_active(&ann, false).await.unwrap());
    assert!(!b.store.user(&ann).await.unwrap().unwrap().active);
    assert!(b.store.search_users("ann", None, 10).await.unwrap().items.is_empty());
    assert!(b.store.set_active(&ann, true).await.unwrap());
    assert_eq!(b.store.search_users("ann", None, 10).await.unwrap().items.len(), 1);
    assert!(!b.store.set_active(&b.ids.user(), false).await.unwrap());
}

pub(crate) async fn users_are_found_by_prefix_and_part(b: Bench) {
    for name in ["Zoe_ann", "annabel", "ANN", "bob", "hannah", "an_x", "anyx"] {
        b.user(name).await;
    }
    let names = async |query: &str| {
        let found = b.store.search_users(query, None, 10).await.unwrap();
        found.items.into_iter().map(|u| u.username).collect::<Vec<_>>()
    };
    assert_eq!(names("Ann").await, ["ANN", "annabel", "hannah", "Zoe_ann"]);
    assert_eq!(names("an").await, ["an_x", "ANN", "annabel", "anyx"]);
    assert_eq!(names("an_").await, ["an_x"], "_ means itself");
    assert_eq!(names("nna").await, ["annabel", "hannah"]);
    assert!(names("%").await.is_empty() && names("\"").await.is_empty() && names("\"*)").await.is_empty());
    let first = b.store.search_users("ann", None, 3).await.unwrap();
    let rest = b.store.search_users("ann", first.next.as_ref(), 3).await.unwrap();
    assert_eq!(rest.items.len(), 1);
    assert_eq!(rest.next, None);
}

pub(crate) async fn all_users_are_listed(b: Bench) {
    for name in ["c", "A", "b"] {
        b.user(name).await;
    }
    let first = b.store.list_users(None, 2).await.unwrap();
    let rest = b.store.list_users(first.next.as_ref(), 2).await.unwrap();
    let names: Vec<_> = first
        .items
        .iter()
        .chain(&rest.items)
        .map(|u| u.username.as_str())
        .collect();
    assert_eq!(names, ["A", "b", "c"]);
}

pub(crate) async fn last_seen_never_goes_back(b: Bench) {
    let ann = b.user("ann").await;
    assert_eq!(b.store.user(&ann).await.unwrap().unwrap().last_seen, None);
    for (saved, seen) in [(1000, 1000), (3000, 3000), (2000, 3000)] {
        b.store
            .save_last_seen(&ann, Timestamp::from_millis(saved))
            .await
            .unwrap();
        let user = b.store.user(&ann).await.unwrap().unwrap();
        assert_eq!(user.last_seen, Some(Timestamp::from_millis(seen)));
    }
}
