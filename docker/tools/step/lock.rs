//! The part of a Cargo.lock that one package needs: what only others need is no part of it.
//!
//! `rebake.build.lock_part` takes out the same lines from outside, and says why and where the form of
//! the file comes from. Anything that cargo does not write today means the whole file.

use std::collections::{BTreeSet, HashMap};

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

struct Package<'a> {
    table: usize,
    version: &'a str,
    elsewhere: bool,
    needs: Vec<&'a str>,
}

/// The lines of all that a package of the workspace needs, in their order.
pub fn part_of(text: &str, package: &str) -> Option<String> {
    let tables = tables(text);
    let mut packages: HashMap<&str, Vec<Package>> = HashMap::new();
    for (number, table) in tables.iter().enumerate() {
        let first = table.split('\n').next().unwrap_or_default();
        if first.trim_matches(BLANK) == "[[package]]" {
            let (name, package) = read(number, table)?;
            packages.entry(name).or_default().push(package);
        }
    }
    let own: Vec<&Package> = packages
        .get(package)?
        .iter()
        .filter(|one| !one.elsewhere)
        .collect();
    if own.len() != 1 {
        return None;
    }
    let mut found = BTreeSet::new();
    let mut todo = own;
    while let Some(one) = todo.pop() {
        if !found.insert(one.table) {
            continue;
        }
        for words in &one.needs {
            let mut words = words.split(' ');
            let name = words.next().unwrap_or_default();
            let version = words.next().unwrap_or_default();
            let before = todo.len();
            let named = packages.get(name)?;
            todo.extend(
                named
                    .iter()
                    .filter(|one| version.is_empty() || one.version == version),
            );
            if todo.len() == before {
                return None;
            }
        }
    }
    let others: BTreeSet<usize> = packages.values().flatten().map(|one| one.table).collect();
    let kept = |number: &usize| found.contains(number) || !others.contains(number);
    let lines = tables.iter().enumerate().filter(|(n, _)| kept(n));
    Some(lines.map(|(_, table)| *table).collect())
}

/// The file in pieces, each from a line with a table's name to the next one.
fn tables(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    starts.extend(text.match_indices("\n[").map(|(place, _)| place + 1));
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &text[start..end])
        .collect()
}

fn read(number: usize, table: &str) -> Option<(&str, Package<'_>)> {
    let (mut name, mut version) = (None, None);
    let mut package = Package {
        table: number,
        version: "",
        elsewhere: false,
        needs: Vec::new(),
    };
    for line in table.split('\n') {
        let quoted = |key: &str| Some(line.strip_prefix(key)?.split_once('"')?.0);
        name = name.or_else(|| quoted("name = \""));
        version = version.or_else(|| quoted("version = \""));
        package.elsewhere |= line.starts_with("source = ");
        let needed = line.trim_start_matches([' ', '\t']).strip_prefix('"');
        package
            .needs
            .extend(needed.and_then(|rest| Some(rest.split_once('"')?.0)));
        let list = line.strip_prefix("dependencies");
        let usual = |rest: &str| {
            let rest = rest.strip_prefix(" = [");
            rest.map_or(false, |rest| {
                rest.trim_matches([' ', '\t', '\r']).is_empty()
            })
        };
        if line.starts_with("replace") || list.map_or(false, |rest| !usual(rest)) {
            return None;
        }
    }
    if !table.contains("\ndependencies") {
        package.needs.clear();
    }
    package.version = version?;
    Some((name?, package))
}
