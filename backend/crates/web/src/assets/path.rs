//! What a path tells about the file behind it.

use percent_encoding::percent_decode_str;

const HASHED_FOLDER: &str = "/assets/";
const HASH_MIN_LEN: usize = 8;

/// A path that may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetPath(String);

impl AssetPath {
    /// None for a path that is none of the client's business: one with a name that starts with a
    /// dot, which also covers every step upwards.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = percent_decode_str(path).decode_utf8().ok()?;
        let is_hidden = path.split(['/', '\\']).any(|name| name.starts_with('.'));
        (!is_hidden && !path.contains('\0')).then(|| Self(path.into_owned()))
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0 == "/"
    }

    pub(crate) fn has_no_extension(&self) -> bool {
        !self.name().contains('.')
    }

    /// Whether the name holds a digest of the content, as in `/assets/app-k3v9x2m1.js`.
    pub(crate) fn is_immutable(&self) -> bool {
        let Some((stem, _extension)) = self.name().split_once('.') else {
            return false;
        };
        self.0.starts_with(HASHED_FOLDER)
            && stem.rsplit_once('-').is_some_and(|(_, end)| is_hash(end))
    }

    fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// Digits and letters both: `app-navigation.js` and `photo-20300131.jpg` are no hashes. A hash that
/// looks like one of these costs a request more; a name that is taken for a hash shows an old file.
fn is_hash(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() >= HASH_MIN_LEN
        && text.bytes().all(is_part)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_immutable(path: &str) -> bool {
        AssetPath::parse(path).unwrap().is_immutable()
    }

    #[test]
    fn hidden_names_and_steps_upwards_are_refused() {
        for path in [
            "/.env",
            "/assets/.git/config",
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/..%5csecret",
            "/a%00b",
            "/%ff",
        ] {
            assert_eq!(AssetPath::parse(path), None, "{path}");
        }
        assert!(AssetPath::parse("/a..b/c.d").is_some());
    }

    #[test]
    fn only_hashed_assets_are_immutable() {
        for path in [
            "/assets/app-k3v9x2m1.js",
            "/assets/fonts/a-b-0a1b2c3d.woff2",
            "/assets/app-k3v9x2m1.js.map",
        ] {
            assert!(is_immutable(path), "{path}");
        }
        for path in [
            "/app-k3v9x2m1.js",
            "/assets/app.js",
            "/assets/app-navigation.js",
            "/assets/photo-20300131.jpg",
            "/assets/app-a1.js",
            "/assets/k3v9x2m1-x/app.js",
            "/assets/app-k3v9x2m1",
        ] {
            assert!(!is_immutable(path), "{path}");
        }
    }

    #[test]
    fn an_extension_is_in_the_last_name() {
        let has_none = |path| AssetPath::parse(path).unwrap().has_no_extension();
        assert!(has_none("/items/42"));
        assert!(has_none("/v1.2/items"));
        assert!(!has_none("/items/a.png"));
    }
}
