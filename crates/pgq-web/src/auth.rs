//! Who may: who asks is found out before a request reaches a page, and refused otherwise.

mod access;
mod account;
mod app;
mod client;
mod credentials;
mod csrf;
mod expiring;
mod gate;
mod headers;
mod login;
mod login_page;
mod network;
mod origin;
mod password;
mod random;
mod refusal;
mod remembered;
mod sessions;
mod target;
mod throttle;
mod token;
mod token_file;

pub use access::Access;
pub use account::Account;
pub use app::App;
pub use network::Network;
pub use password::{PasswordHash, hash_password};
pub use random::new_token;
pub use token_file::TokenFile;
