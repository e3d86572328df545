//! Sessions and refresh tokens.

use chat_protocol::{Timestamp, UserId};

use super::Bench;
use crate::store::{NewSession, PasswordHash, RotateOutcome};

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(Timestamp::now().as_millis() + seconds * 1000)
}

pub(crate) async fn login(b: &Bench, user: &UserId, id: &str) {
    let session = NewSession {
        id: id.into(),
        user: user.clone(),
        created_at: Timestamp::now(),
        expires_at: later(60),
    };
    b.store.create_session(session).await.unwrap();
}

pub(crate) async fn refresh_tokens_work_once(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    for number in 0..3 {
        let rotated = b.store.rotate_session("s1", 0, number, later(60)).await.unwrap();
        let RotateOutcome::Rotated(session) = rotated else {
            panic!("{rotated:?}")
        };
        assert_eq!(
            (session.refresh_number, session.generation, &session.user),
            (number + 1, 0, &ann)
        );
    }
}

pub(crate) async fn reuse_ends_the_session(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    login(&b, &ann, "s2").await;
    b.store.rotate_session("s1", 0, 0, later(60)).await.unwrap();
    let reused = b.store.rotate_session("s1", 0, 0, later(60)).await.unwrap();
    assert_eq!(reused, RotateOutcome::Reused { user: ann });
    assert_eq!(b.store.session("s1").await.unwrap(), None);
    let newest = b.store.rotate_session("s1", 0, 1, later(60)).await.unwrap();
    assert_eq!(newest, RotateOutcome::Ended);
    assert!(b.store.session("s2").await.unwrap().is_some());
}

pub(crate) async fn another_generation_is_refused(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    let outcome = b.store.rotate_session("s1", 1, 0, later(60)).await.unwrap();
    assert_eq!(outcome, RotateOutcome::Ended);
    assert!(
        b.store.session("s1").await.unwrap().is_some(),
        "a forged generation ends nothing"
    );
}

pub(crate) async fn a_new_password_ends_other_sessions(b: Bench) {
    let (ann, bob) = (b.user("ann").await, b.user("bob").await);
    for id in ["s1", "s2", "s3"] {
        login(&b, &ann, id).await;
    }
    login(&b, &bob, "b1").await;
    let hash = || PasswordHash("$argon2id$new".into());
    let changed = b
        .store
        .change_password(&ann, "s2", hash(), later(60))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((changed.kept.generation, changed.kept.refresh_number), (1, 1));
    let mut ended = changed.ended;
    ended.sort();
    assert_eq!(ended, ["s1", "s3"]);
    assert_eq!(b.store.session("s2").await.unwrap().unwrap(), changed.kept);
    assert!(b.store.session("b1").await.unwrap().is_some());
    assert_eq!(
        b.store.credentials_of(&ann).await.unwrap().unwrap().1.0,
        "$argon2id$new"
    );
    let foreign = b.store.change_password(&ann, "b1", hash(), later(60)).await.unwrap();
    assert_eq!(foreign, None, "the session of another user keeps nothing");
    assert!(b.store.session("s2").await.unwrap().is_some());
}

pub(crate) async fn ended_sessions_are_unknown(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    assert!(b.store.end_session("s1").await.unwrap());
    assert!(!b.store.end_session("s1").await.unwrap());
    assert_eq!(b.store.session("s1").await.unwrap(), None);
}

pub(crate) async fn expired_sessions_are_purged(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    assert_eq!(b.store.purge_sessions(Timestamp::now()).await.unwrap(), 0);
    assert_eq!(b.store.purge_sessions(later(120)).await.unwrap(), 1);
    assert_eq!(b.store.session("s1").await.unwrap(), None);
}

pub(crate) async fn deactivation_ends_sessions(b: Bench) {
    let ann = b.user("ann").await;
    login(&b, &ann, "s1").await;
    b.store.set_active(&ann, false).await.unwrap();
    assert_eq!(b.store.session("s1").await.unwrap(), None);
    login(&b, &ann, "s2").await;
    assert_eq!(
        b.store.session("s2").await.unwrap(),
        None,
        "no session begins for an inactive user"
    );
}
