//! Ports for children.

use std::net::TcpListener;

use crate::EmbeddedError;

/// A port of the loopback that was free a moment ago. Somebody else may take it before the child
/// does; the child then fails loudly and the caller may try again.
pub fn free_port() -> Result<u16, EmbeddedError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(EmbeddedError::io("127.0.0.1:0"))?;
    let address = listener.local_addr().map_err(EmbeddedError::io("127.0.0.1:0"))?;
    Ok(address.port())
}
