/// Plays what can happen to a transaction of the state file: the disk is full, or the process dies before it, or just after.
package protocol SimulatedDisk: Sendable {
    /// Everything of the transaction is done; what is thrown rolls it back.
    func willCommit(_ what: String) throws
    /// It is on the disk; what is thrown keeps its caller from knowing.
    func hasCommitted(_ what: String) throws
}
