use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// Names shown when every line that holds a `~` is marked.
fn marked(language: Language, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let lines = text.split_inclusive('\n').map(|line| (line.as_bytes(), line.contains('~')));
    let mut see = |name: Vec<u8>| {
        names.push(String::from_utf8_lossy(&name).into_owned());
        Ok::<_, Infallible>(())
    };
    touched(language, lines, &mut see).expect("nothing fails");
    names
}

#[test]
fn rust() {
    let text = "\
use a; // ~
/// A cache. ~
pub(crate) struct Cache<K> {
    a: K, // ~
}

impl<K> Cache<K>
where
    K: Hash, // ~
{
    const SIZE: usize = 1; // ~

    pub const fn get(&self) -> u32 {
        let a = 1; // ~
        fn inner(
            b: u32, // ~
        ) -> u32 { // ~
            b
        }
        self.each(|| {
            a // ~
        })
// ~ a comment that stands outside
    } // ~
    #[inline] // ~
    pub(in crate::a) unsafe extern \"C\" fn r#put() {} // ~
}

impl fmt::Display for Cache<u8> {
    async fn get(&self) {
        // ~
    }
}

macro_rules! twice {
    () => {}; // ~
}
mod tests {
    fn one_line() -> u8 { 1 } // ~
    static B: [u8; 1] = [
        0, // ~
    ]; // ~
}
";
    let expected = [
        "<K> Cache<K>::get",
        "<K> Cache<K>::get::inner",
        "<K> Cache<K>::put",
        "fmt::Display for Cache<u8>::get",
        "twice",
        "tests::one_line",
    ];
    assert_eq!(marked(Language::Rust, text), expected);
}

#[test]
fn go() {
    let text = "\
package a // ~

func Plain[T any](a T) error {
\treturn each(
\t\tfunc(b int) error {
\t\t\treturn nil // ~
\t\t},
\t)
}

// ~ about the next
func (c *Cache[K, V]) Get(k K) (V, error) {
label:
\treturn c.get(k) // ~
}

func (Cache) Put() {} // ~

var x = 1 // ~
";
    assert_eq!(marked(Language::Go, text), ["Plain", "Cache::Get", "Cache::Put"]);
}

#[test]
fn typescript() {
    let text = "\
import { a } from 'b'; // ~
export default async function* walk<T>(a: T) {
  yield a; // ~
}
export abstract class Bus extends Base {
  private handlers = new Map(); // ~
  constructor(private a: number) {
    super(a); // ~
  }
  static async emit<T>(name: string, a: () => void): Promise<void> {
    for (const b of this.all) { // ~
      if (b) { // ~
        describe('x', () => {
          b(); // ~
        });
      }
    }
  }
  get(key) {
    return key; // ~
  }
  get size() { return 1; } // ~
  readonly off = async (a) => {
    return a; // ~
  };
  #secret() {
    return 1; // ~
  }
  *keys() {
    yield 1; // ~
  }
}
export const add = (a: number, b: number): number => a + b; // ~
let once: Once<number> = function (a) {
  return a; // ~
};
const many = ({
  a, // ~
}) => {
  return a; // ~
};
const half = (1 + 2) / 2; // ~
const mapped = list.map((a) => a + 1); // ~
var id = a => a; // ~
";
    let expected = [
        "walk",
        "Bus::constructor",
        "Bus::emit",
        "Bus::get",
        "Bus::size",
        "Bus::off",
        "Bus::secret",
        "Bus::keys",
        "add",
        "once",
        "many",
        "id",
    ];
    assert_eq!(marked(Language::TypeScript, text), expected);
}

#[test]
fn python() {
    let text = "\
import a  # ~

@cached  # ~
def total(
    a,  # ~
) -> int:
    \"\"\"Doc.\"\"\"

    def inner():
        return 1  # ~

# ~ a comment at the margin
    return inner()  # ~


class Cart(Base):
    tax = 1  # ~

    async def add(self):
        pass  # ~

x = 1  # ~
";
    assert_eq!(marked(Language::Python, text), ["total", "total::inner", "Cart::add"]);
}

#[test]
fn languages_are_known_by_the_end_of_a_name() {
    for (path, language) in [
        ("src/lib.rs", Some(Language::Rust)),
        ("a.b/main.go", Some(Language::Go)),
        ("x.test.tsx", Some(Language::TypeScript)),
        ("x.mjs", Some(Language::TypeScript)),
        ("a.py", Some(Language::Python)),
        ("a.rs/README", None),
        ("rs", None),
        ("", None),
    ] {
        assert_eq!(Language::of(path.as_bytes()), language, "{path}");
    }
}

#[test]
fn deep_nesting_and_long_names_are_bounded() {
    let long = "x".repeat(1000);
    let text: String = (0..100).map(|n| format!("{}def {long}{n}():  # ~\n", " ".repeat(n))).collect();
    let names = marked(Language::Python, &text);
    assert_eq!(names.len(), DEEPEST);
    assert!(names.iter().all(|name| name.len() <= DEEPEST * (LONGEST_NAME + 2)));
}

proptest! {
    #[test]
    fn any_bytes_are_read(
        lines in prop::collection::vec("[ \t]{0,3}(fn |impl|def |class |func |\\(|\\)|\\{|\\}|<|>|=|=>|:|a|\"|#|pub|const |async |get |\\*|é){0,8}", 0..20),
    ) {
        for language in [Language::Rust, Language::Go, Language::TypeScript, Language::Python] {
            let mut see = |name: Vec<u8>| {
                assert!(!name.is_empty());
                Ok::<_, Infallible>(())
            };
            touched(language, lines.iter().map(|line| (line.as_bytes(), true)), &mut see).expect("nothing fails");
        }
    }
}
