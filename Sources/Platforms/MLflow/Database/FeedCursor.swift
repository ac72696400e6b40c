/// Where a reader of the change table stands: `epoch:seq:released`.
struct FeedCursor: Sendable, Hashable {
    /// One installation of the triggers; 32 hexadecimal digits.
    var epoch: String
    /// The highest number that was read.
    var seq: Int64
    /// Up to which number changes had been forgotten then.
    var released: Int64

    init(epoch: String, seq: Int64, released: Int64) {
        self.epoch = epoch
        self.seq = seq
        self.released = released
    }

    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let seq = Int64(parts[1]), let released = Int64(parts[2]) else { return nil }
        self.init(epoch: String(parts[0]), seq: seq, released: released)
    }

    var text: String { "\(epoch):\(seq):\(released)" }
}
