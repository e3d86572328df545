//! What every backend must do: stamped on each of them with [`store_suite!`].

pub(crate) mod accounts;
pub(crate) mod chats;
pub(crate) mod messages;
pub(crate) mod search;
pub(crate) mod sessions;

use std::sync::Arc;

use chat_protocol::{Message, MessageType, Timestamp, UserId};

use super::{CreateOutcome, NewMessage, NewUser, PasswordHash, SendOutcome, Store};
use crate::id::IdSource;

/// A store and what the tests ask of it again and again.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ids: IdSource,
}

impl Bench {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            ids: IdSource::new(),
        }
    }

    pub(crate) fn new_user(&self, name: &str) -> NewUser {
        NewUser {
            id: self.ids.user(),
            username: name.into(),
            email: format!("{}@example.com", name.to_lowercase()),
            password: PasswordHash("$argon2id$hash".into()),
            created_at: Timestamp::now(),
        }
    }

    pub(crate) async fn user(&self, name: &str) -> UserId {
        match self.store.create_user(self.new_user(name)).await.unwrap() {
            CreateOutcome::Created(user) => user.id,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(crate) fn message(&self, from: &UserId, to: &UserId, content: &str) -> NewMessage {
        NewMessage {
            id: self.ids.message(),
            new_chat: self.ids.chat(),
            sender: from.clone(),
            receiver: to.clone(),
            content: content.into(),
            message_type: MessageType::Text,
            client_message_id: None,
            chat: None,
        }
    }

    pub(crate) async fn send(&self, from: &UserId, to: &UserId, content: &str) -> Message {
        match self.store.send(self.message(from, to, content)).await.unwrap() {
            SendOutcome::Stored(message) => message,
            other => panic!("{other:?}"),
        }
    }
}

/// Stamps the suite on a backend. `$open` is an async expression that gives `(Arc<dyn Store>, guard)`, a new store each time.
macro_rules! store_suite {
    ($open:expr) => {
        $crate::store::suite::store_suite!(@tests $open;
            accounts: names_and_emails_are_unique_ignoring_case, unknown_users_are_left_out, profiles_change_in_part,
                deactivated_users_keep_their_record, users_are_found_by_prefix_and_part, all_users_are_listed,
                last_seen_never_goes_back;
            sessions: refresh_tokens_work_once, reuse_ends_the_session, another_generation_is_refused,
                a_new_password_ends_other_sessions, ended_sessions_are_unknown, expired_sessions_are_purged,
                deactivation_ends_sessions;
            messages: seq_is_gapless_under_concurrency, one_sender_keeps_order, answers_come_in_commit_order,
                repeats_get_the_first_answer, concurrent_repeats_store_once, reused_client_ids_are_refused,
                refusals_store_nothing, history_pages_both_ways, edits_keep_place_and_time,
                deleted_messages_are_tombstones, only_the_sender_edits,
                a_deactivated_user_gets_nothing_more;
            chats: unread_counts_match_a_recount, marking_is_all_or_nothing, marks_of_the_same_moment_count_once,
                marking_a_chat_marks_all,
                the_first_read_time_stays, partners_and_participants, the_list_is_newest_first,
                a_walk_survives_new_messages;
            search: finds_literal_parts_ignoring_case, finds_before_and_after_indexing, follows_edits_and_deletions,
                shows_own_chats_alone, pages_newest_first;
        );
    };
    (@tests $open:expr; $($area:ident: $($name:ident),+;)+) => {$(
        mod $area {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let (store, _guard) = $open.await;
                    $crate::store::suite::$area::$name($crate::store::suite::Bench::new(store)).await;
                }
            )+
        }
    )+

        /// All of the suite, one after another.
        #[allow(dead_code, reason = "not every backend looks at what the suite makes it do")]
        pub(super) async fn whole_suite() {
            $($(
                let (store, _guard) = $open.await;
                $crate::store::suite::$area::$name($crate::store::suite::Bench::new(store)).await;
            )+)+
        }
    };
}
pub(crate) use store_suite;
