extension Array {
    /// Its elements in order, at most `size` at a time.
    func chunks(of size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}

extension Array {
    /// Two parts of about the same length, in order; of one element the first is empty.
    var halves: [[Element]] { [Array(self[..<(count / 2)]), Array(self[(count / 2)...])] }
}
