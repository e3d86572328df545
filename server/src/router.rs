//! Every route and layer.

use axum::Router;
use axum::http::{HeaderName, Method};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use chat_protocol::ErrorCode;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::Error;
use crate::app::App;
use crate::config::CorsConfig;
use crate::http::envelope::{OperationId, envelope};
use crate::http::{auth, docs, messages, operations, users};
use crate::socket::{self, Sockets};

/// One operation of the contract.
struct Route {
    operation: &'static str,
    method: Method,
    path: &'static str,
    handler: MethodRouter<App>,
}

fn routes() -> Vec<Route> {
    let route = |operation, method, path, handler| Route {
        operation,
        method,
        path,
        handler,
    };
    let (g, p, u, d) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    vec![
        route("register", p.clone(), "/api/auth/register", post(auth::register)),
        route("login", p.clone(), "/api/auth/login", post(auth::login)),
        route(
            "refreshToken",
            p.clone(),
            "/api/auth/refresh-token",
            post(auth::refresh_token),
        ),
        route("logout", p.clone(), "/api/auth/logout", post(auth::logout)),
        route("getProfile", g.clone(), "/api/auth/profile", get(auth::profile)),
        route(
            "updateProfile",
            u.clone(),
            "/api/auth/profile",
            put(auth::update_profile),
        ),
        route(
            "changePassword",
            u.clone(),
            "/api/auth/change-password",
            put(auth::change_password),
        ),
        route("sendMessage", p.clone(), "/api/messages/send", post(messages::send)),
        route(
            "getConversation",
            g.clone(),
            "/api/messages/conversation/{userId}",
            get(messages::conversation),
        ),
        route("listChats", g.clone(), "/api/messages/chats", get(messages::chats)),
        route(
            "searchMessages",
            g.clone(),
            "/api/messages/search",
            get(messages::search),
        ),
        route("editMessage", u, "/api/messages/{id}", put(messages::edit)),
        route("deleteMessage", d, "/api/messages/{id}", delete(messages::delete)),
        route("markRead", p, "/api/messages/mark-read", post(messages::mark_read)),
        route("listOnlineUsers", g.clone(), "/api/users/online", get(users::online)),
        route("searchUsers", g.clone(), "/api/users/search", get(users::search)),
        route("getUser", g.clone(), "/api/users/{id}", get(users::user)),
        route("getUserStatus", g, "/api/users/{id}/status", get(users::status)),
    ]
}

/// Operation id, method and path of every call of the contract that is served.
pub fn served() -> Vec<(&'static str, Method, &'static str)> {
    routes().into_iter().map(|r| (r.operation, r.method, r.path)).collect()
}

/// The whole server, and its sockets to close in the end.
pub fn router(app: App) -> (Router, Sockets) {
    let (layer, sockets) = socket::layer(&app);
    let mut router = Router::new();
    for Route {
        operation,
        path,
        handler,
        ..
    } in routes()
    {
        let noted = from_fn(move |request, next: axum::middleware::Next| async move {
            let mut response = next.run(request).await;
            response.extensions_mut().insert(OperationId(operation));
            response
        });
        router = router.route(path, handler.route_layer(noted));
    }
    let router = router
        .route("/health", get(operations::health))
        .route("/ready", get(operations::ready))
        .route("/metrics", get(operations::guarded_metrics))
        .route("/openapi.json", get(docs::openapi))
        .route("/asyncapi.json", get(docs::asyncapi))
        .route("/docs", get(docs::docs))
        .fallback(async || Error::code(ErrorCode::NotFound))
        .method_not_allowed_fallback(async || Error::code(ErrorCode::MethodNotAllowed))
        .layer(layer)
        .layer(cors(&app.config.cors))
        .layer(from_fn_with_state(app.clone(), envelope))
        .with_state(app);
    (router, sockets)
}

/// What the operator asks, for a listener of its own that stays open until the end.
pub fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/health", get(operations::health))
        .route("/ready", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .with_state(app)
}

fn cors(config: &CorsConfig) -> CorsLayer {
    let shown = ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy"].map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(["authorization", "content-type", "x-request-id"].map(HeaderName::from_static))
        .expose_headers(shown)
        .max_age(std::time::Duration::from_secs(600));
    match config {
        CorsConfig::Any => layer.allow_origin(Any),
        CorsConfig::Origins(origins) => {
            let known = origins.iter().filter_map(|origin| origin.parse().ok());
            layer.allow_origin(AllowOrigin::list(known))
        }
    }
}
