//! A real broker.

use std::net::TcpStream;

use embedded::kafka::{Kafka, Options};

#[test]
fn a_broker_starts_dies_and_comes_back_on_its_port() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options::new(directory.path());
    let mut broker = Kafka::start(&options, |line| println!("{line}")).expect("starts");
    let address = broker.brokers();
    broker.kill().expect("dies");
    assert!(TcpStream::connect(&address).is_err());
    broker.restart().expect("comes back");
    assert!(TcpStream::connect(&address).is_ok());
    assert_eq!(broker.brokers(), address);
}
