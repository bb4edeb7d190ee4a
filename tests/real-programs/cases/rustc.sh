# needs: rustc gcc
# timeout: 90
# Compiles and runs a program with generics, threads and a panic that unwinds.
. "$LIB"
cat >w.rs <<'R'
use std::collections::{BTreeMap, HashMap}; use std::sync::{mpsc, Arc, Mutex}; use std::thread;
trait Shape { fn area(&self) -> f64; } struct Sq(f64); struct Ci(f64);
impl Shape for Sq { fn area(&self) -> f64 { self.0 * self.0 } } impl Shape for Ci { fn area(&self) -> f64 { 3.0 * self.0 * self.0 } }
fn generic<T: Ord + Clone + std::fmt::Debug>(v: &mut Vec<T>) -> String { v.sort(); v.dedup(); format!("{:?}", v) }
fn main() {
    let shapes: Vec<Box<dyn Shape>> = (0..50).map(|i| if i % 2 == 0 { Box::new(Sq(i as f64)) as Box<dyn Shape> } else { Box::new(Ci(i as f64)) }).collect();
    println!("{}", shapes.iter().map(|s| s.area()).sum::<f64>());
    println!("{} {}", generic(&mut vec![3, 1, 2, 3]), generic(&mut vec!["b".to_string(), "a".to_string()]));
    let m = Arc::new(Mutex::new(HashMap::new())); let (tx, rx) = mpsc::channel();
    let hs: Vec<_> = (0..8).map(|t| { let m = m.clone(); let tx = tx.clone(); thread::spawn(move || { for i in 0..1000 { *m.lock().unwrap().entry(i % 17).or_insert(0u64) += t; } tx.send(t).unwrap(); }) }).collect();
    for h in hs { h.join().unwrap(); } drop(tx); println!("{} {}", rx.iter().sum::<u64>(), m.lock().unwrap().values().sum::<u64>());
    std::panic::set_hook(Box::new(|_| {})); println!("{}", std::panic::catch_unwind(|| { let v: Vec<i32> = vec![]; v[3] }).is_err());
    let b: BTreeMap<_, _> = (0..5000).map(|i| (i, i.to_string())).collect(); println!("{}", b.values().map(|s| s.len()).sum::<usize>()); std::process::exit(4);
}
R
rustc -O --edition 2021 w.rs -o w; set +e; ./w; echo "status $?"
printf 'fn main() { let x: i32 = "text"; }\n' >bad.rs; rustc bad.rs 2>&1 | grep -c '^error'
exit 0
