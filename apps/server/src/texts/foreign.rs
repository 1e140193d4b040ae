//! What the parts and the reader of TOML say of a configuration in English, in Russian where the words are known. What is
//! not known stays as it was said: a fault in the wrong language is better than none.

use super::Texts;
use openclaw_core::Language;

/// Rules of the parts, as they stand after a value, English and Russian. `{}` is a number or a name.
const RULES: &[[&str; 2]] = &[
    ["must be above 0 and at most 1", "нужно больше 0 и не больше 1"],
    [
        "must be 0 (unlimited) or at least {}",
        "нужно 0 (без предела) или не меньше {}",
    ],
    [
        "must be 0 (off) or from {} to {}",
        "нужно 0 (выключено) или от {} до {}",
    ],
    ["must be at least {}", "нужно не меньше {}"],
    ["must be at most {}", "нужно не больше {}"],
    ["must be below {}", "нужно меньше {}"],
    ["must be between {} and {}", "нужно от {} до {}"],
    ["must be from {} to {}", "нужно от {} до {}"],
    ["must not be 0", "не может быть 0"],
    [
        "must be an http or https address without a password",
        "нужен адрес http или https без пароля",
    ],
    ["must be an http or https address", "нужен адрес http или https"],
    [
        "must be printable ASCII and not empty",
        "нужны видимые символы ASCII, хотя бы один",
    ],
    ["must be printable ASCII", "нужны видимые символы ASCII"],
    [
        "must be a header and its value",
        "нужны имя заголовка и его значение",
    ],
    [
        "must be a variable and its value",
        "нужны имя переменной и её значение",
    ],
    ["must be a path or a name", "нужен путь или имя"],
    ["must not contain NUL", "не может содержать NUL"],
    ["must be {}, {} or {}", "нужно {}, {} или {}"],
    [
        "must be a program that exists and may be run",
        "нужна существующая программа, которую можно запустить",
    ],
    ["must be a directory that exists", "нужен существующий каталог"],
    [
        "must name a program, because concurrency.runtime is process",
        "назовите программу, раз concurrency.runtime — process",
    ],
];

/// What the parts advise, in the same way.
const ADVICE: &[[&str; 2]] = &[
    [
        "{} workers may use {} MB together, more than 80 % of the machine's {} MB",
        "воркеров {}, вместе они могут занять {} МБ, это больше 80 % от {} МБ этой машины",
    ],
    [
        "one worker per core is advised; the machine has {}",
        "советуем по воркеру на ядро; ядер у машины {}",
    ],
    [
        "4 to 16 times maxWorkers is advised",
        "советуем в 4–16 раз больше, чем maxWorkers",
    ],
    [
        "twice the longest expected turn ({} ms) is advised",
        "советуем вдвое больше самого долгого ожидаемого ответа ({} мс)",
    ],
];

/// What is wrong with TOML, as its reader says it before what it had expected.
const TOML: &[[&str; 2]] = &[
    [
        "`_` may only go between digits",
        "`_` бывает только между цифрами",
    ],
    [
        "cannot extend value of type {} with a dotted key",
        "значение вида {} ключом с точкой не дополнить",
    ],
    [
        "cannot recurse further; max recursion depth met",
        "слишком много вложений",
    ],
    [
        "carriage return must be followed by newline",
        "после возврата каретки нужен перевод строки",
    ],
    ["duplicate key", "ключ уже был"],
    ["extra `=`", "лишнее `=`"],
    [
        "extra assignment between key-value pairs",
        "лишнее `=` между ключами",
    ],
    ["extra comma in array", "лишняя запятая в списке"],
    ["extra comma in inline table", "лишняя запятая в таблице"],
    [
        "integers with a radix cannot be signed",
        "у числа с основанием не бывает знака",
    ],
    ["invalid basic string", "неправильный текст в двойных кавычках"],
    ["invalid binary number", "неправильное двоичное число"],
    ["invalid boolean", "неправильное true или false"],
    [
        "invalid comment character",
        "такого символа в комментарии не бывает",
    ],
    ["invalid date-time", "неправильная дата"],
    ["invalid float", "неправильное дробное число"],
    [
        "invalid hexadecimal number",
        "неправильное шестнадцатеричное число",
    ],
    ["invalid inline table element", "такого в таблице не бывает"],
    ["invalid integer number", "неправильное целое число"],
    ["invalid key-value pair", "здесь должен быть ключ со значением"],
    [
        "invalid literal string",
        "неправильный текст в одинарных кавычках",
    ],
    [
        "invalid multi-line basic string",
        "неправильный текст в тройных двойных кавычках",
    ],
    [
        "invalid multi-line literal string",
        "неправильный текст в тройных одинарных кавычках",
    ],
    ["invalid octal number", "неправильное восьмеричное число"],
    ["invalid string", "неправильный текст"],
    ["invalid unquoted key", "такой ключ пишут в кавычках"],
    ["invalid value", "неправильное значение"],
    ["key with no value", "ключ без значения"],
    [
        "keys cannot be multi-line basic strings",
        "ключ в тройных кавычках не пишут",
    ],
    [
        "keys cannot be multi-line literal strings",
        "ключ в тройных кавычках не пишут",
    ],
    ["missing array opening", "нет начала списка"],
    [
        "missing assignment between key-value pairs",
        "между ключом и значением нет `=`",
    ],
    [
        "missing comma between array elements",
        "между элементами списка нет запятой",
    ],
    [
        "missing comma between key-value pairs",
        "между ключами таблицы нет запятой",
    ],
    ["missing comment start", "нет начала комментария"],
    ["missing escaped value", "после обратной косой черты ничего нет"],
    ["missing inline table opening", "нет начала таблицы"],
    [
        "missing key for inline table element",
        "в таблице значение без ключа",
    ],
    ["missing opening quote", "нет открывающей кавычки"],
    ["missing table open", "нет начала таблицы"],
    ["missing value for key", "у ключа нет значения"],
    ["missing value", "нет значения"],
    ["radix must be lowercase", "основание числа пишут строчной буквой"],
    ["recursion limit", "слишком много вложений"],
    ["redundant integer number prefix", "лишнее основание числа"],
    ["redundant numeric sign", "лишний знак числа"],
    ["string values must be quoted", "текст пишут в кавычках"],
    ["too few unicode value digits", "в коде символа мало цифр"],
    ["unclosed array table", "название таблицы не закрыто"],
    ["unclosed array", "список не закрыт"],
    ["unclosed inline table", "таблица не закрыта"],
    ["unclosed table", "название таблицы не закрыто"],
    ["unexpected `=` in array", "`=` в списке не бывает"],
    [
        "unexpected content between comment and newline",
        "после комментария должна кончиться строка",
    ],
    ["unexpected content", "здесь этого не бывает"],
    ["unexpected key or value", "здесь не место ключу или значению"],
    ["unexpected leading zero", "лишний ноль в начале числа"],
    ["unexpected sign", "знака здесь не бывает"],
    ["unquoted keys cannot be empty", "пустой ключ пишут в кавычках"],
];

/// What the reader of TOML had expected.
const EXPECTED: &[[&str; 2]] = &[
    ["basic string", "текст в двойных кавычках"],
    ["characters", "символы"],
    ["digits", "цифры"],
    ["key", "ключ"],
    ["letters", "буквы"],
    ["literal string", "текст в одинарных кавычках"],
    ["multi-line basic string", "текст в тройных двойных кавычках"],
    ["newline", "конец строки"],
    [
        "non-double-quote visible characters",
        "видимые символы, кроме двойной кавычки",
    ],
    ["non-single-quote characters", "символы, кроме одинарной кавычки"],
    [
        "non-single-quote visible characters",
        "видимые символы, кроме одинарной кавычки",
    ],
    ["nothing", "ничего"],
    ["numbers", "цифры"],
    ["printable characters", "видимые символы"],
    ["unicode hexadecimal value", "код символа"],
    ["unquoted string", "текст без кавычек"],
    ["value", "значение"],
];

/// Where the reader of TOML begins to say what it had expected.
const BEFORE_EXPECTED: &str = ", expected ";

impl Texts {
    /// A value and the rule of a part that it breaks.
    pub(crate) fn broken_rule(self, value: &str, rule: &str) -> String {
        match self.language() {
            Language::En => format!("{value}; it {rule}"),
            Language::Ru => {
                // Of a program that is not named the value is a word of ours.
                let value = if rule.starts_with("must name") {
                    "ничего"
                } else {
                    value
                };
                format!(
                    "{value}; {}",
                    in_russian(RULES, rule).unwrap_or_else(|| rule.to_owned())
                )
            }
        }
    }

    /// A value and what a part advises.
    pub(crate) fn advised(self, value: &str, advice: &str) -> String {
        let advice = match self.language() {
            Language::En => None,
            Language::Ru => in_russian(ADVICE, advice),
        }
        .unwrap_or_else(|| advice.to_owned());
        format!("{value}; {advice}")
    }

    /// Why a text is not TOML.
    pub(crate) fn toml(self, english: &str) -> String {
        if self.language() == Language::En {
            return english.to_owned();
        }
        let (what, expected) = match english.split_once(BEFORE_EXPECTED) {
            Some((what, expected)) => (what, Some(expected)),
            None => (english, None),
        };
        let what = in_russian(TOML, what).unwrap_or_else(|| what.to_owned());
        let Some(expected) = expected else {
            return format!("не TOML: {what}");
        };
        let expected: Vec<String> = expected
            .split(", ")
            .map(|word| in_russian(EXPECTED, word).unwrap_or_else(|| word.to_owned()))
            .collect();
        format!("не TOML: {what}; ожидается {}", expected.join(", "))
    }
}

/// The Russian of the first entry that fits, with what stands in its holes.
pub(crate) fn in_russian(table: &[[&str; 2]], english: &str) -> Option<String> {
    table.iter().find_map(|[en, ru]| {
        let mut values = in_holes(en, english)?.into_iter();
        let mut parts = ru.split("{}");
        let first = parts.next().unwrap_or_default().to_owned();
        Some(parts.fold(first, |said, part| {
            said + values.next().unwrap_or_default() + part
        }))
    })
}

/// What stands in the holes of a pattern; `None` where the text is another.
fn in_holes<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let (value, after) = if parts.peek().is_none() {
            (rest.strip_suffix(part)?, "")
        } else {
            rest.split_once(part)?
        };
        values.push(value);
        rest = after;
    }
    rest.is_empty().then_some(values)
}

/// The texts in quotation marks of a program, what is formatted into them replaced by a number.
#[cfg(test)]
pub(super) fn quoted(program: &str) -> Vec<String> {
    let program = program.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, text) in program.split('"').enumerate() {
        if number % 2 == 1 {
            let mut parts = text.split('{');
            let first = parts.next().unwrap_or_default().to_owned();
            found.push(parts.fold(first, |said, part| {
                said + "5" + part.split_once('}').map_or("", |(_, after)| after)
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the parts say their rules.
    const PARTS: &[&str] = &[
        include_str!("../../../../crates/concurrency/src/config.rs"),
        include_str!("../../../../crates/streaming/src/config.rs"),
        include_str!("../../../../crates/messenger/src/limits.rs"),
        include_str!("../../../../crates/adapters/openai/src/config.rs"),
        include_str!("../../../../crates/adapters/anthropic/src/config.rs"),
        include_str!("../../../../crates/adapters/gigachat/src/config.rs"),
        include_str!("../../../../crates/adapters/ollama/src/config.rs"),
        include_str!("../../../../crates/adapters/command/src/config.rs"),
        include_str!("../../../../crates/adapters/process-runtime/src/config.rs"),
        include_str!("../wire/workers.rs"),
    ];

    #[test]
    fn every_rule_and_every_advice_of_the_parts_is_known_in_russian() {
        let texts: Vec<String> = PARTS.iter().flat_map(|program| quoted(program)).collect();
        let rules: Vec<&String> = texts.iter().filter(|text| text.starts_with("must ")).collect();
        let advice: Vec<&String> = texts
            .iter()
            .filter(|text| text.ends_with(" is advised") || text.contains("the machine"))
            .collect();
        assert!(rules.len() > 40 && advice.len() == 4, "{rules:?} {advice:?}");
        for rule in rules {
            assert!(in_russian(RULES, rule).is_some(), "{rule}");
        }
        for text in advice {
            assert!(in_russian(ADVICE, text).is_some(), "{text}");
        }
    }

    #[test]
    fn every_entry_has_the_same_holes_in_both_languages_and_is_found_under_its_own_words() {
        for table in [RULES, ADVICE, TOML, EXPECTED] {
            for [en, ru] in table {
                assert_eq!(en.matches("{}").count(), ru.matches("{}").count(), "{en}");
                assert!(en.is_ascii() && !ru.is_ascii(), "{en}: {ru}");
                let said = en.replace("{}", "5");
                assert_eq!(in_russian(table, &said), Some(ru.replace("{}", "5")), "{en}");
            }
        }
    }

    #[test]
    fn what_is_not_toml_is_told_in_russian_where_the_words_are_known() {
        let texts = Texts::new(Language::Ru);
        for (file, said) in [
            (
                "a = \n",
                "не TOML: текст пишут в кавычках; ожидается текст в одинарных кавычках",
            ),
            ("[a\n", "не TOML: название таблицы не закрыто; ожидается `]`"),
            ("a = 1\na = 2\n", "не TOML: ключ уже был"),
            (
                "a = 'x\n",
                "не TOML: неправильный текст в одинарных кавычках; ожидается `'`",
            ),
            (
                "a = { b = 1 c = 2 }\n",
                "не TOML: лишнее `=` между ключами; ожидается `,`",
            ),
        ] {
            let (_, errors) = toml::de::DeTable::parse_recoverable(file);
            let error = errors.first().unwrap_or_else(|| panic!("{file}"));
            assert_eq!(texts.toml(error.message()), said, "{file}: {}", error.message());
        }
        assert_eq!(texts.toml("never heard"), "не TOML: never heard");
        assert_eq!(
            Texts::default().toml("never heard, expected x"),
            "never heard, expected x"
        );
    }
}
