//! A real server in a directory of its own.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use embedded::EmbeddedError;
use embedded::postgres::{Options, Postgres};

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The server's user must be able to enter it.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
    directory
}

#[test]
fn a_server_starts_is_found_and_stops() {
    let directory = directory();
    let options = Options::new(directory.path());
    let server = Postgres::start(&options, |_| ()).expect("starts");
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_ok());
    let attached = Postgres::attach(directory.path()).expect("readable");
    assert_eq!(attached, Some(server.url("daybook")));

    let second = Postgres::start(&options, |_| ());
    assert!(
        matches!(second, Err(EmbeddedError::InUse(_))),
        "one process per directory"
    );

    let port = server.port();
    server.stop().expect("stops");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(Postgres::attach(directory.path()).expect("readable"), None);

    let again = Postgres::start(&options, |line| {
        panic!("the second start has nothing long to do: {line}")
    });
    again.expect("starts").stop().expect("stops");
}

#[test]
fn a_server_left_behind_is_adopted() {
    let directory = directory();
    let options = Options::new(directory.path());
    let server = Postgres::start(&options, |_| ()).expect("starts");
    let port = server.port();
    // What a killed process leaves: the server runs, the lock is gone with its holder.
    std::mem::forget(server);
    std::fs::remove_file(directory.path().join("postgres.lock")).expect("there");
    let adopted = Postgres::start(&options, |_| ()).expect("adopts");
    assert_eq!(adopted.port(), port);
    adopted.stop().expect("stops");
}
