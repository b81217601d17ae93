//! Signing in.

use askama::Template;

use crate::filters;
use crate::frame::Frame;

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    frame: &'a Frame<'a>,
    page: &'a Page<'a>,
}

/// What the page says.
pub struct Page<'a> {
    /// Where it leads back to.
    pub to: &'a str,
    /// The host of the SSH door.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Why the last try was refused.
    pub why: Option<&'a str>,
}

impl Page<'_> {
    /// The page.
    ///
    /// # Errors
    ///
    /// Where the template fails.
    pub fn draw(&self, frame: &Frame<'_>) -> Result<String, crate::Unreadable> {
        Ok(Login { frame, page: self }.render()?)
    }
}
