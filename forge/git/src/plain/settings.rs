//! What a repository's configuration says about serving it: the keys that are honoured, and what they come to.
//!
//! Invariant: a key that is read stands in [`KEYS`], from which the documentation's table is made; and a value that git
//! would not understand refuses the repository instead of being guessed around.

use super::config::{Values, boolean};
use super::hidden::Hidden;
use crate::wire::{FetchOffer, Filters, NonceSeed, PushOffer, Service, Wants};

/// A key that is honoured: its name, what holds without it, and what it does.
pub struct Key {
    /// As git's documentation spells it.
    pub name: &'static str,
    /// Without the key.
    pub default: &'static str,
    /// In a few words.
    pub what: &'static str,
}

const fn key(name: &'static str, default: &'static str, what: &'static str) -> Key {
    Key { name, default, what }
}

/// Every key that is honoured.
pub const KEYS: &[Key] = &[
    key("core.bare", "true", "with `false`, the branch in the work tree is protected and reflogs are written"),
    key("core.logAllRefUpdates", "false where bare, else true", "which refs get a reflog: `true`, `false`, `always`"),
    key("core.repositoryFormatVersion", "0", "0 or 1; anything newer is refused"),
    key("extensions.objectFormat", "sha1", "anything but `sha1` is refused"),
    key("extensions.refStorage", "files", "anything but `files` is refused"),
    key("extensions.worktreeConfig", "false", "with `true`, `config.worktree` is read as well"),
    key("http.receivepack", "true on loopback, else false", "pushes over HTTP"),
    key("http.uploadpack", "true", "fetches over HTTP"),
    key("lsrefs.unborn", "advertise", "with `ignore`, an unborn `HEAD` is not told (v2)"),
    key("receive.advertiseAtomic", "true", "offers `push --atomic`"),
    key("receive.advertisePushOptions", "false", "offers push options, which nothing here reads"),
    key("receive.certNonceSeed", "", "offers signed pushes"),
    key("receive.certNonceSlop", "0", "how many seconds old a nonce of another request (HTTP) may be"),
    key("receive.denyCurrentBranch", "refuse", "`refuse`, `warn`, `ignore`; `updateInstead` refuses here"),
    key("receive.denyDeleteCurrent", "refuse", "`refuse`, `warn`, `ignore`"),
    key("receive.denyDeletes", "false", "no branch may be deleted"),
    key("receive.denyNonFastForwards", "false", "no branch may lose commits"),
    key("receive.fsckObjects", "transfer.fsckObjects", "checks every object that comes, as `git fsck --strict`"),
    key("receive.hideRefs", "", "neither shown to those who push nor theirs to change"),
    key("receive.maxInputSize", "the limit for packs", "bytes of one pack; never above the server's own limit"),
    key("receive.shallowUpdate", "false", "a push from a shallow clone may make this repository shallow"),
    key("receive.unpackLimit", "transfer.unpackLimit", "a pack of fewer objects is kept as loose ones"),
    key("transfer.advertiseObjectInfo", "false", "offers `object-info` (v2)"),
    key("transfer.fsckObjects", "false", "see `receive.fsckObjects`"),
    key("transfer.hideRefs", "", "hidden from those who fetch and those who push"),
    key("transfer.unpackLimit", "100", "see `receive.unpackLimit`"),
    key("uploadpack.allowAnySHA1InWant", "false", "any object may be fetched by its id"),
    key("uploadpack.allowFilter", "false", "offers partial clones"),
    key("uploadpack.allowReachableSHA1InWant", "false", "what shown refs reach may be fetched by its id"),
    key("uploadpack.allowRefInWant", "false", "offers `want-ref` (v2)"),
    key("uploadpack.allowSidebandAll", "false", "offers `sideband-all` (v2)"),
    key("uploadpack.allowTipSHA1InWant", "false", "tips of hidden refs may be fetched by their ids"),
    key("uploadpack.hideRefs", "", "hidden from those who fetch"),
    key("uploadpackfilter.<filter>.allow", "uploadpackfilter.allow", "one kind of filter, for example `blob:none`"),
    key("uploadpackfilter.allow", "true", "whether filters are served that have no key of their own"),
    key("uploadpackfilter.tree.maxDepth", "without limit", "the deepest `tree:<depth>`"),
    key("user.email", "synstack@localhost", "the address beside that name"),
    key("user.name", "synstack", "whom reflogs name"),
];

/// Kinds of filters that a repository can allow one by one.
const FILTERS: [&str; 6] = ["blob:none", "blob:limit", "tree", "object:type", "sparse:oid", "combine"];

/// What becomes of a push that stock git would warn about or refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deny {
    Ignore,
    Warn,
    Refuse,
    /// Refused, and nobody said so: the pusher is told how to allow it.
    Unset,
}

/// Which refs get a reflog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logged {
    /// Those that have one.
    Present,
    /// Branches, remote branches, notes and `HEAD` as well.
    Usual,
    /// All.
    Always,
}

/// A repository's settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) bare: bool,
    pub(super) logged: Logged,
    /// `name <address>`, for reflogs.
    pub(super) who: String,
    pub(super) fetch: FetchOffer,
    /// Whether tips of hidden refs may be wanted.
    pub(super) hidden_tips: bool,
    pub(super) push: PushOffer,
    pub(super) fsck: bool,
    /// `None` where the server's own limit holds.
    pub(super) max_input: Option<u64>,
    pub(super) unpack_limit: u64,
    pub(super) deny_current: Deny,
    pub(super) deny_delete_current: Deny,
    pub(super) deny_deletes: bool,
    pub(super) deny_non_fast_forwards: bool,
    pub(super) http_fetch: bool,
    /// `None` where nothing was said.
    pub(super) http_push: Option<bool>,
    hidden: [Hidden; 2],
}

/// The most commands of one push to a plain repository.
/// Limit: commands of one push to a plain repository | {}
const MOST_COMMANDS: usize = 100_000;

impl Settings {
    /// What `values` come to.
    pub(super) fn of(values: &Values) -> Result<Settings, String> {
        let read = Reader(values);
        read.can_be_served()?;
        let bare = read.flag("core.bare", true)?;
        let limit = |key| read.number(key).map(|n| n.filter(|n| *n >= 0));
        let unpack_limit = match limit("receive.unpackLimit")? {
            Some(own) => own,
            None => limit("transfer.unpackLimit")?.unwrap_or(100),
        };
        let fsck = match read.given("receive.fsckObjects")? {
            Some(own) => own,
            None => read.flag("transfer.fsckObjects", false)?,
        };
        let max_input = read.number("receive.maxInputSize")?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let (name, email) = (read.text("user.name"), read.text("user.email"));
        let plain = |text: &str| text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect::<String>();
        let who = format!(
            "{} <{}>",
            plain(name.unwrap_or("synstack")).trim(),
            plain(email.unwrap_or("synstack@localhost")).trim()
        );
        Ok(Settings {
            bare,
            logged: read.logged(bare)?,
            who,
            fetch: read.fetch_offer()?,
            hidden_tips: read.flag("uploadpack.allowTipSHA1InWant", false)?
                || read.flag("uploadpack.allowAnySHA1InWant", false)?,
            push: read.push_offer()?,
            fsck,
            max_input,
            unpack_limit: unpack_limit.unsigned_abs(),
            deny_current: read.deny("receive.denyCurrentBranch")?,
            deny_delete_current: read.deny("receive.denyDeleteCurrent")?,
            deny_deletes: read.flag("receive.denyDeletes", false)?,
            deny_non_fast_forwards: read.flag("receive.denyNonFastForwards", false)?,
            http_fetch: read.flag("http.uploadpack", true)?,
            http_push: read.given("http.receivepack")?,
            hidden: [Service::UploadPack, Service::ReceivePack].map(|service| Hidden::of(values, service)),
        })
    }

    /// What `service` hides.
    pub(super) fn hidden(&self, service: Service) -> &Hidden {
        match service {
            Service::UploadPack => &self.hidden[0],
            Service::ReceivePack => &self.hidden[1],
        }
    }
}

struct Reader<'a>(&'a Values);

impl Reader<'_> {
    fn known(&self, name: &str) {
        debug_assert!(KEYS.iter().any(|key| key.name == name), "{name} is honoured but not documented");
    }

    fn given(&self, name: &str) -> Result<Option<bool>, String> {
        self.known(name);
        self.0.boolean(name)
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        Ok(self.given(name)?.unwrap_or(default))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        self.known(name);
        self.0.integer(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.known(name);
        self.0.text(name)
    }

    fn deny(&self, name: &str) -> Result<Deny, String> {
        self.known(name);
        let Some(value) = self.0.last(name) else { return Ok(Deny::Unset) };
        match value.unwrap_or("true").to_ascii_lowercase().as_str() {
            "ignore" => Ok(Deny::Ignore),
            "warn" => Ok(Deny::Warn),
            "refuse" | "updateinstead" => Ok(Deny::Refuse),
            other => match boolean(Some(other)) {
                Some(true) => Ok(Deny::Refuse),
                Some(false) => Ok(Deny::Ignore),
                None => Err(format!("{name}: `{}` is not understood", other.chars().take(80).collect::<String>())),
            },
        }
    }

    /// Refuses what is kept in a form that is not read here.
    fn can_be_served(&self) -> Result<(), String> {
        let version = self.number("core.repositoryFormatVersion")?.unwrap_or(0);
        if !(0..=1).contains(&version) {
            return Err(format!("repository format {version} is not known: 0 and 1 are"));
        }
        for (key, value) in self.0.iter() {
            let value = value.unwrap_or("true");
            let Some((section, name)) = key.split_once('.') else { continue };
            match (section, name) {
                ("include" | "includeif", _) => {
                    return Err("its configuration includes other files, which are not read: put the settings into \
                                the file itself"
                        .to_owned());
                }
                ("extensions", "objectformat") if !value.eq_ignore_ascii_case("sha1") => {
                    return Err(format!("object format `{value}` is not supported: only sha1 is"));
                }
                ("extensions", "refstorage") if !value.eq_ignore_ascii_case("files") => {
                    return Err(format!("ref storage `{value}` is not supported: only files is"));
                }
                (
                    "extensions",
                    "objectformat" | "refstorage" | "noop" | "preciousobjects" | "partialclone" | "worktreeconfig",
                ) => {}
                ("extensions", name) if version == 1 => {
                    return Err(format!("the repository extension `{name}` is not known"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn logged(&self, bare: bool) -> Result<Logged, String> {
        if self.text("core.logAllRefUpdates").is_some_and(|value| value.eq_ignore_ascii_case("always")) {
            return Ok(Logged::Always);
        }
        let usual = self.given("core.logAllRefUpdates")?.unwrap_or(!bare);
        Ok(if usual { Logged::Usual } else { Logged::Present })
    }

    fn fetch_offer(&self) -> Result<FetchOffer, String> {
        let wants = [
            ("uploadpack.allowAnySHA1InWant", Wants::Any),
            ("uploadpack.allowReachableSHA1InWant", Wants::Reachable),
            ("uploadpack.allowTipSHA1InWant", Wants::Tips),
        ];
        let mut most = Wants::Advertised;
        for (key, kind) in wants {
            if self.flag(key, false)? {
                most = most.max(kind);
            }
        }
        let unborn = self.text("lsrefs.unborn").is_none_or(|value| value != "ignore");
        Ok(FetchOffer {
            wants: most,
            filters: self.filters()?,
            want_ref: self.flag("uploadpack.allowRefInWant", false)?,
            sideband_all: self.flag("uploadpack.allowSidebandAll", false)?,
            object_info: self.flag("transfer.advertiseObjectInfo", false)?,
            unborn,
        })
    }

    fn filters(&self) -> Result<Filters, String> {
        let served = self.flag("uploadpack.allowFilter", false)?;
        let usually = self.flag("uploadpackfilter.allow", true)?;
        let mut refused = Vec::new();
        for kind in FILTERS {
            if !self.0.boolean(&format!("uploadpackfilter.{kind}.allow"))?.unwrap_or(usually) {
                refused.push(kind.to_owned());
            }
        }
        let depth = self.number("uploadpackfilter.tree.maxDepth")?;
        Ok(Filters { served, refused, tree_depth: depth.and_then(|n| u64::try_from(n).ok()) })
    }

    fn push_offer(&self) -> Result<PushOffer, String> {
        let slop = self.number("receive.certNonceSlop")?.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let seed = self.text("receive.certNonceSeed").filter(|seed| !seed.is_empty());
        Ok(PushOffer {
            atomic: self.flag("receive.advertiseAtomic", true)?,
            options: self.flag("receive.advertisePushOptions", false)?,
            certificates: seed.map(|secret| NonceSeed { secret: secret.to_owned(), slop }),
            shallow: self.flag("receive.shallowUpdate", false)?,
            commands: MOST_COMMANDS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        Settings::of(&Values::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_documentation_names_every_key_with_its_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plain.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut table = String::from("| key | default | what it does |\n|---|---|---|\n");
        for Key { name, default, what } in KEYS {
            let default = if default.is_empty() { "not set" } else { default };
            table.push_str(&format!("| `{name}` | {default} | {what} |\n"));
        }
        let (head, rest) = text.split_once("compares them -->\n").unwrap();
        let (written, tail) = rest.split_once("<!-- /keys -->").unwrap();
        if std::env::var_os("FORGE_WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{head}compares them -->\n{table}<!-- /keys -->{tail}")).unwrap();
        } else {
            assert_eq!(written, table, "run this test with FORGE_WRITE_DOCS=1 to write the table");
        }
        assert!(KEYS.is_sorted_by(|a, b| a.name.to_lowercase() <= b.name.to_lowercase()));
    }

    #[test]
    fn without_configuration_all_is_as_in_stock_git() {
        let settings = settings("").unwrap();
        assert_eq!(settings.fetch, FetchOffer { unborn: true, ..FetchOffer::default() });
        assert!(settings.push.atomic && !settings.push.options && settings.push.certificates.is_none());
        assert!(settings.bare && !settings.fsck && settings.http_fetch && settings.http_push.is_none());
        assert_eq!((settings.logged, settings.unpack_limit), (Logged::Present, 100));
        assert_eq!((settings.deny_current, settings.deny_delete_current), (Deny::Unset, Deny::Unset));
    }

    #[test]
    fn the_own_key_goes_before_the_shared_one() {
        let of = |text| settings(text).unwrap();
        assert!(!of("[receive]\nfsckObjects = false\n[transfer]\nfsckObjects = true").fsck);
        assert!(of("[transfer]\nfsckObjects").fsck);
        assert_eq!(of("[receive]\nunpackLimit = 7\n[transfer]\nunpackLimit = 9").unpack_limit, 7);
        assert_eq!(of("[transfer]\nunpackLimit = 9").unpack_limit, 9);
        let filters = of("[uploadpack]\nallowFilter\n[uploadpackfilter]\nallow=false\n[uploadpackfilter \"tree\"]\n\
                          allow\nmaxDepth=2")
        .fetch
        .filters;
        assert_eq!((filters.served, filters.tree_depth), (true, Some(2)));
        assert_eq!(filters.refused, ["blob:none", "blob:limit", "object:type", "sparse:oid", "combine"]);
    }

    #[test]
    fn what_is_kept_in_another_form_is_refused_with_words() {
        for (text, why) in [
            ("[core]\nrepositoryformatversion = 1\n[extensions]\nobjectFormat = sha256", "only sha1"),
            ("[core]\nrepositoryformatversion = 1\n[extensions]\nrefStorage = reftable", "only files"),
            ("[core]\nrepositoryformatversion = 1\n[extensions]\nwhat = true", "`what` is not known"),
            ("[core]\nrepositoryformatversion = 2", "format 2"),
            ("[include]\npath = ../x", "includes other files"),
            ("[receive]\ndenyDeletes = maybe", "no boolean"),
            ("[receive]\ndenyCurrentBranch = maybe", "not understood"),
        ] {
            assert!(settings(text).unwrap_err().contains(why), "{text}");
        }
    }
}
