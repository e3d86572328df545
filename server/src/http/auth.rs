//! `/api/auth`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chat_protocol::{OwnUserEnvelope, Session, SignedIn};

use super::admission::AtTheDoor;
use super::body::JsonBody;
use crate::Result;
use crate::app::App;
use crate::chat::sessions::Caller;

pub async fn register(_: AtTheDoor, app: State<App>, body: JsonBody) -> Result<(StatusCode, Json<Session>)> {
    Ok((StatusCode::CREATED, Json(app.chat.register(&body.0).await?)))
}

pub async fn login(_: AtTheDoor, app: State<App>, body: JsonBody) -> Result<Json<Session>> {
    Ok(Json(app.chat.login(&body.0).await?))
}

pub async fn refresh_token(_: AtTheDoor, app: State<App>, body: JsonBody) -> Result<Json<SignedIn>> {
    let tokens = app.chat.refresh(&body.0).await?;
    Ok(Json(SignedIn { tokens }))
}

pub async fn logout(caller: Caller, app: State<App>) -> Result<StatusCode> {
    app.chat.logout(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn profile(caller: Caller, app: State<App>) -> Result<Json<OwnUserEnvelope>> {
    let user = app.chat.profile(&caller.user).await?;
    Ok(Json(OwnUserEnvelope { user }))
}

pub async fn update_profile(caller: Caller, app: State<App>, body: JsonBody) -> Result<Json<OwnUserEnvelope>> {
    let user = app.chat.update_profile(&caller.user, &body.0).await?;
    Ok(Json(OwnUserEnvelope { user }))
}

pub async fn change_password(caller: Caller, app: State<App>, body: JsonBody) -> Result<Json<SignedIn>> {
    let tokens = app.chat.change_password(&caller, &body.0).await?;
    Ok(Json(SignedIn { tokens }))
}
