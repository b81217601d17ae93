//! Stand-in until the real page is merged.

/// Stand-in.
pub const CSP: &str = "default-src 'none'";

/// Stand-in.
pub struct Page<'a> {
    /// Stand-in.
    pub title: &'a str,
    /// Stand-in.
    pub path: &'a str,
    /// Stand-in.
    pub markdown: &'a str,
}

/// Stand-in.
pub fn render(page: &Page<'_>) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<title>{}</title><p>{}</p><pre>{}</pre>", escape(page.title), escape(page.path), escape(page.markdown))
}
