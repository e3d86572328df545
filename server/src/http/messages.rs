//! `/api/messages`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chat_protocol::{Chat, ChatHistory, MarkedRead, Message, MessageEnvelope, Page};

use super::body::JsonBody;
use super::query::{IdInPath, Params};
use crate::Result;
use crate::app::App;
use crate::chat::lists::{HistoryQuery, SearchQuery};
use crate::chat::messages::{ReadRequest, SendRequest, parse_edit};
use crate::chat::sessions::Caller;

pub async fn send(caller: Caller, app: State<App>, body: JsonBody) -> Result<(StatusCode, Json<MessageEnvelope>)> {
    let sent = app.chat.send(&caller.user, SendRequest::parse(&body.0)?).await?;
    let status = if sent.repeated {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(MessageEnvelope { message: sent.message })))
}

pub async fn conversation(
    caller: Caller,
    app: State<App>,
    peer: IdInPath,
    mut params: Params,
) -> Result<Json<ChatHistory>> {
    let query = HistoryQuery {
        limit: params.limit(50, 100),
        cursor: params.cursor(),
        after: params.after(),
    };
    params.finish()?;
    Ok(Json(app.chat.conversation(&caller.user, &peer.0, &query).await?))
}

pub async fn chats(caller: Caller, app: State<App>, mut params: Params) -> Result<Json<Page<Chat>>> {
    let (limit, cursor) = (params.limit(50, 100), params.cursor());
    params.finish()?;
    Ok(Json(app.chat.list_chats(&caller.user, limit, cursor.as_deref()).await?))
}

pub async fn search(caller: Caller, app: State<App>, mut params: Params) -> Result<Json<Page<Message>>> {
    let query = SearchQuery {
        text: params.text("q", 100),
        peer: params.optional("userId"),
        limit: params.limit(50, 100),
        cursor: params.cursor(),
    };
    params.finish()?;
    Ok(Json(app.chat.search(&caller.user, &query).await?))
}

pub async fn edit(caller: Caller, app: State<App>, id: IdInPath, body: JsonBody) -> Result<Json<MessageEnvelope>> {
    let message = app.chat.edit(&caller.user, &id.0, parse_edit(&body.0)?).await?;
    Ok(Json(MessageEnvelope { message }))
}

pub async fn delete(caller: Caller, app: State<App>, id: IdInPath) -> Result<StatusCode> {
    app.chat.delete(&caller.user, &id.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn mark_read(caller: Caller, app: State<App>, body: JsonBody) -> Result<Json<MarkedRead>> {
    let request = ReadRequest::parse(&body.0)?;
    Ok(Json(app.chat.mark_read(&caller.user, request).await?))
}
