//! The protocol on standard input and output.

use rmcp::service::{ServerInitializeError, serve_server_with_ct};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::stdio_pipes;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// Bytes of a message from the client.
const LONGEST_MESSAGE: usize = 1 << 20;

/// Why it ended before its client did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the client does not speak the Model Context Protocol: {0}")]
    Handshake(String),
    #[error("the task that answers ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Answer until the client closes standard input, or `stop` is cancelled.
///
/// # Errors
///
/// Fails if the client says something else than the protocol begins with.
pub async fn serve(server: Server, stop: CancellationToken) -> Result<(), ServeError> {
    let (input, output) = stdio_pipes();
    let transport = AsyncRwTransport::new_server(input, output).with_max_line_length(LONGEST_MESSAGE);
    match serve_server_with_ct(server, transport, stop).await {
        Ok(running) => {
            running.waiting().await?;
            Ok(())
        }
        // It looked whether the program is there, and went away.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(ServeError::Handshake(error.to_string())),
    }
}
