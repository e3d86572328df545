//! Every call of REST.

use chat_client::protocol::{ErrorCode, MessageType, Status};
use chat_client::testing::{PASSWORD, Server};
use chat_client::{Client, ErrorKind, Retryability};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::{PATIENCE, next};

#[tokio::test]
async fn accounts() {
    let server = Server::start().await.unwrap();
    let ann = server.client("ann").await.unwrap();
    assert_eq!(ann.me().user.username, "ann");
    assert_eq!(ann.profile().await.unwrap().email, "ann@example.org");

    let changed = ann
        .update_profile()
        .bio("At sea.")
        .profile_picture("https://example.org/ann.png");
    assert_eq!(changed.await.unwrap().user.bio.as_deref(), Some("At sea."));
    let changed = ann.update_profile().username("anna").no_bio().await.unwrap();
    assert_eq!(changed.user.username, "anna");
    assert_eq!(changed.user.bio, None);
    assert!(changed.user.profile_picture.is_some());

    // The session goes on with new tokens, and the new password is what opens the next.
    ann.change_password(PASSWORD, "an even longer password").await.unwrap();
    ann.profile().await.unwrap();
    let wrong = ann.change_password(PASSWORD, "whatever it is").await.unwrap_err();
    assert_eq!(wrong.code(), Some(&ErrorCode::InvalidCurrentPassword));
    let login = |password: &'static str| Client::builder(server.url()).login("anna", password);
    let refused = login(PASSWORD).await.unwrap_err();
    assert_eq!(refused.code(), Some(&ErrorCode::InvalidCredentials));
    assert_eq!(refused.retryability(), Retryability::Permanent);
    let again = login("an even longer password").await.unwrap();

    again.logout().await.unwrap();
    assert_eq!(again.profile().await.unwrap_err().kind(), ErrorKind::SessionEnded);
    ann.profile().await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_every_bad_field() {
    let server = Server::start().await.unwrap();
    let refused = Client::builder(server.url())
        .register("a", "no address", "short")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(refused.code(), Some(&ErrorCode::ValidationError));
    let mut fields: Vec<_> = refused.details().iter().map(|detail| detail.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "password", "username"]);
    assert!(refused.request_id().is_some());
}

#[tokio::test]
async fn messages_and_chats() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let sent = ann
        .send_by_rest(bob.user_id(), "first")
        .message_type(MessageType::Image)
        .await
        .unwrap();
    assert_eq!((sent.seq, sent.message_type), (Some(1), MessageType::Image));
    let id = sent.client_message_id.clone().unwrap();
    let again = ann
        .send_by_rest(bob.user_id(), "first")
        .message_type(MessageType::Image)
        .client_message_id(id);
    assert_eq!(again.await.unwrap().id, sent.id);
    for number in 2..=5 {
        ann.send_by_rest(bob.user_id(), format!("number {number}"))
            .await
            .unwrap();
    }

    let page = bob.history(ann.user_id()).limit(2).await.unwrap();
    assert_eq!(
        page.items
            .iter()
            .map(|message| message.seq.unwrap())
            .collect::<Vec<_>>(),
        [5, 4]
    );
    let cursor = page.next_cursor.unwrap();
    let page = bob.history(ann.user_id()).limit(2).cursor(cursor).await.unwrap();
    assert_eq!(page.items[0].seq, Some(3));
    let all: Vec<_> = bob
        .history(ann.user_id())
        .after(0)
        .limit(2)
        .into_stream()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        all.iter().map(|message| message.seq.unwrap()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );

    let chats = bob.chats().await.unwrap().items;
    assert_eq!((chats.len(), chats[0].unread_count), (1, 5));
    assert_eq!(bob.mark_read([sent.id.clone()]).await.unwrap(), 1);
    assert_eq!(bob.mark_chat_read(&sent.chat_id).await.unwrap(), 4);

    let found = bob.search_messages("NUMBER").with(ann.user_id()).limit(2).into_stream();
    assert_eq!(found.try_collect::<Vec<_>>().await.unwrap().len(), 4);
    let edited = ann.edit(&sent.id, "the first").await.unwrap();
    assert_eq!(edited.content, "the first");
    assert!(edited.edited_at.is_some());
    let stranger = bob.edit(&sent.id, "mine").await.unwrap_err();
    assert_eq!(stranger.code(), Some(&ErrorCode::NotMessageSender));
    ann.delete(&sent.id).await.unwrap();
    assert_eq!(
        ann.delete(&sent.id).await.unwrap_err().code(),
        Some(&ErrorCode::MessageNotFound)
    );
}

#[tokio::test]
async fn users() {
    let server = Server::start().await.unwrap();
    let ann = server.client("ann").await.unwrap();
    for name in ["bob", "bobby", "rob.bobson"] {
        server.client(name).await.unwrap();
    }
    let found = ann.search_users("bob").limit(1).into_stream();
    let names: Vec<_> = found.map_ok(|user| user.username).try_collect().await.unwrap();
    assert_eq!(names, ["bob", "bobby", "rob.bobson"]);
    let bobby = ann.find_user("BOBBY").await.unwrap().unwrap();
    assert_eq!(ann.user(&bobby.id).await.unwrap().username, "bobby");
    assert_eq!(ann.find_user("bo").await.unwrap(), None);
    assert_eq!(ann.status_of(&bobby.id).await.unwrap().user_id, bobby.id);

    ann.online().await.unwrap();
    let online = || async {
        ann.online_users()
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|user| user.username)
    };
    let here = timeout(PATIENCE, async { while !online().await.any(|name| name == "ann") {} });
    here.await.unwrap();
    ann.set_status(Status::Offline);
    let invisible = timeout(PATIENCE, async { while online().await.any(|name| name == "ann") {} });
    invisible.await.unwrap();
}

#[tokio::test]
async fn a_limit_is_waited_for_within_the_budget_and_else_told() {
    let server = Server::builder().request_limit(5).await.unwrap();
    let ann = server
        .client_with("ann", chat_client::Builder::without_realtime)
        .await
        .unwrap();
    let limited = loop {
        if let Err(error) = ann.profile().await {
            break error;
        }
    };
    assert_eq!(limited.code(), Some(&ErrorCode::RateLimited));
    assert_eq!(limited.retryability(), Retryability::Transient);
    // The window is 15 minutes, and the budget of a request half of one.
    assert!(limited.retry_after().unwrap().as_secs() > 30, "{limited:?}");
}

#[tokio::test]
async fn who_opens_no_connection_waits_for_none() {
    let server = Server::start().await.unwrap();
    let without = chat_client::Builder::without_realtime;
    let ann = server.client_with("ann", without).await.unwrap();
    let closed = timeout(PATIENCE, ann.online()).await.unwrap().unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    let sent = timeout(PATIENCE, ann.send(ann.user_id(), "hello").into_future());
    assert_eq!(sent.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let server = Server::start().await.unwrap();
    let (ann, bob) = (server.client("ann").await.unwrap(), server.client("bob").await.unwrap());
    let mut messages = bob.messages();
    server.kill().await;
    let to = bob.user_id().clone();
    let request = tokio::spawn(async move { ann.send_by_rest(&to, "hello").await });
    tokio::task::yield_now().await;
    server.restart().await.unwrap();
    timeout(PATIENCE, request).await.unwrap().unwrap().unwrap();
    assert_eq!(next(&mut messages).await.content, "hello");
}

#[tokio::test]
async fn what_a_proxy_lost_the_answer_of_is_not_repeated_where_that_does_harm() {
    for status in ["502 Bad Gateway", "504 Gateway Timeout"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = tokio::spawn(async move {
            // Ends with a second request: it was repeated.
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let error = Client::builder(format!("http://{address}"))
            .register("ann", "ann@example.org", PASSWORD)
            .await
            .unwrap_err();
        assert_eq!(error.retryability(), Retryability::Ambiguous, "{status}: {error}");
        assert!(!proxy.is_finished(), "{status}: the account may exist already");
        proxy.abort();
    }
}
