//! The server and the contract's documents know the same calls, events and codes.

use std::collections::BTreeSet;

use chat_protocol::{ErrorCode, event};
use chat_spec::{ClientEvent, ERROR_CODES, Operation, ServerEvent};

#[test]
fn every_route_is_an_operation_and_the_reverse() {
    let served: BTreeSet<_> = (chat_server::router::served().into_iter())
        .map(|(id, method, path)| (id.to_owned(), method.to_string(), path.to_owned()))
        .collect();
    let stated: BTreeSet<_> = (Operation::ALL.iter())
        .map(|one| (one.id().to_owned(), one.method().to_owned(), one.path().to_owned()))
        .collect();
    assert_eq!(served, stated);
}

#[test]
fn every_error_code_is_in_the_contract_and_the_reverse() {
    let sent: BTreeSet<&str> = ErrorCode::ALL.iter().map(ErrorCode::as_str).collect();
    let stated: BTreeSet<&str> = ERROR_CODES.iter().copied().collect();
    assert_eq!(sent, stated);
}

#[test]
fn a_code_stands_under_its_own_status() {
    for operation in Operation::ALL {
        for answer in operation.responses() {
            for code in answer.codes {
                let status = chat_server::Error::code(ErrorCode::from(*code)).status();
                assert_eq!(status.as_u16(), answer.status, "{operation:?}: {code}");
            }
        }
    }
}

#[test]
fn every_event_is_in_the_contract_and_the_reverse() {
    let client: BTreeSet<_> = ClientEvent::ALL.iter().map(|one| one.name()).collect();
    let server: BTreeSet<_> = ServerEvent::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(BTreeSet::from(event::client::ALL), client);
    assert_eq!(BTreeSet::from(event::server::ALL), server);
}
