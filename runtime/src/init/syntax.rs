//! The syntax of an option string: `name=value` items, separated by `:`, comma or white space; a value may stand in
//! single or double quotes and then contains anything but that quote. It is LSan's (`sanitizer_flag_parser.cpp`).

use super::options::Problem;

/// Calls `each` for every item of `text`, in order: its name and value, or what is wrong with it. Never stops early.
pub(super) fn each<'a>(text: &'a [u8], each: &mut dyn FnMut(Result<(&'a str, &'a str), Problem>)) {
    let Ok(mut rest) = core::str::from_utf8(text) else {
        return each(Err(Problem::new(format_args!("not UTF-8 text; all of it is ignored"))));
    };
    const BLANK: &[char] = &[':', ',', ' ', '\t', '\n', '\r'];
    loop {
        rest = rest.trim_start_matches(BLANK);
        if rest.is_empty() {
            return;
        }
        let name_end = rest.find(|c| c == '=' || BLANK.contains(&c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        let Some(after) = after.strip_prefix('=') else {
            each(Err(Problem::new(format_args!("'{name}' has no value; write {name}=VALUE. Ignored"))));
            rest = after;
            continue;
        };
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (value, after) = match quote {
            Some(quote) => match after[1..].split_once(quote) {
                Some((value, after)) => (value, after),
                None => {
                    return each(Err(Problem::new(format_args!(
                        "the value of {name} begins with {quote} and has no {quote} at its end. Ignored"
                    ))));
                }
            },
            None => after.split_at(after.find(BLANK).unwrap_or(after.len())),
        };
        each(Ok((name, value)));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<Result<(String, String), String>> {
        let mut list = Vec::new();
        each(text.as_bytes(), &mut |item| {
            list.push(match item {
                Ok((name, value)) => Ok((name.to_string(), value.to_string())),
                Err(problem) => Err(problem.to_string()),
            });
        });
        list
    }

    fn ok(name: &str, value: &str) -> Result<(String, String), String> {
        Ok((name.to_string(), value.to_string()))
    }

    #[test]
    fn all_separators_and_quotes() {
        assert_eq!(
            items("a=1:b=2,c=3 d=4\n\te=5"),
            [ok("a", "1"), ok("b", "2"), ok("c", "3"), ok("d", "4"), ok("e", "5")]
        );
        assert_eq!(items("a='x:y z',b=\"'\""), [ok("a", "x:y z"), ok("b", "'")]);
        assert_eq!(items("::"), []);
        assert_eq!(items("a="), [ok("a", "")]);
    }

    #[test]
    fn mistakes_are_named_and_the_rest_is_read() {
        let list = items("loud a=1");
        assert!(list[0].as_ref().unwrap_err().contains("loud=VALUE"));
        assert_eq!(list[1], ok("a", "1"));
        assert!(items("a='x").pop().unwrap().unwrap_err().contains("no '"));
        let mut count = 0;
        each(b"\xff\xfe", &mut |item| {
            assert!(item.is_err());
            count += 1;
        });
        assert_eq!(count, 1);
    }
}
