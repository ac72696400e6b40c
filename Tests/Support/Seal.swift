public import Replication

extension ReplicationState {
    /// From now on the secondary leads these.
    public func seal(_ scope: NameScope = .everything) throws {
        try changeModes { ledger in
            var one = ModeSwitch(scope, askedAt: 1)
            one.step = .sealed
            ledger.ask(one)
        }
    }
}
