//! Throughput figures; see the `bench` branch until it lands.
fn main() {}
