//! `/api/users`.

use axum::Json;
use axum::extract::State;
use chat_protocol::{Page, User, UserEnvelope, UserStatus};

use super::query::{IdInPath, Params};
use crate::Result;
use crate::app::App;
use crate::chat::sessions::Caller;

pub async fn online(caller: Caller, app: State<App>, mut params: Params) -> Result<Json<Page<User>>> {
    let (limit, cursor) = (params.limit(50, 100), params.cursor());
    params.finish()?;
    Ok(Json(
        app.chat.online_users(&caller.user, limit, cursor.as_deref()).await?,
    ))
}

pub async fn search(_: Caller, app: State<App>, mut params: Params) -> Result<Json<Page<User>>> {
    let (text, limit, cursor) = (params.text("q", 50), params.limit(20, 50), params.cursor());
    params.finish()?;
    Ok(Json(app.chat.search_users(&text, limit, cursor.as_deref()).await?))
}

pub async fn user(_: Caller, app: State<App>, id: IdInPath) -> Result<Json<UserEnvelope>> {
    let user = app.chat.user(&id.0).await?;
    Ok(Json(UserEnvelope { user }))
}

pub async fn status(_: Caller, app: State<App>, id: IdInPath) -> Result<Json<UserStatus>> {
    Ok(Json(app.chat.user_status(&id.0).await?))
}
