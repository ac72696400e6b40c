import Testing

@testable import Replication

/// What is decided for one field, whatever both sides and the base say.
@Suite struct RuleTests {
    private static let digests: [FieldDigest] = ["a", "b", "c"].map { FieldDigest($0) }
    private static let desireds: [FieldDigest?] = [nil, digests[0]]
    private static let bases: [FieldDigest?] = [nil, digests[0], digests[1]]
    private static let actuals: [Actual] = [.unread, .absent] + digests.map { .value($0) }

    private func each(_ body: (FieldDigest?, FieldDigest?, Actual) -> Void) {
        for desired in Self.desireds { for base in Self.bases { for actual in Self.actuals { body(desired, base, actual) } } }
    }

    private var policies: [FieldPolicy] {
        let standings: [ConflictDecision?] = [nil, .park, .secondary, .primary]
        return [ConflictDecision.primary, .secondary, .park].flatMap { decision in
            standings.flatMap { standing in
                FieldPolicy.Knowledge.allCases.map { FieldPolicy(decision: decision, standing: standing, knowledge: $0) }
            }
        }
    }

    /// Rows: the primary's value and the base (- none); columns: the secondary unread, absent, as a, b, c.
    /// `.` nothing, `w` write, `o` overwrite, `d` delete.
    @Test func thePrimaryWinsUnlessRulesSayOtherwise() {
        let table: [(FieldDigest?, FieldDigest?, String)] = [
            (nil, nil, "....."), (nil, Self.digests[0], "d.d.."), (nil, Self.digests[1], "d..d."),
            (Self.digests[0], nil, "ww.ww"), (Self.digests[0], Self.digests[0], ".o.oo"), (Self.digests[0], Self.digests[1], "ww.wo"),
        ]
        let letters: [FieldDecision: Character] = [.nothing: ".", .write: "w", .overwrite: "o", .delete: "d"]
        for (desired, base, row) in table {
            let found = String(
                Self.actuals.map { letters[FieldRule.decide(desired: desired, base: base, actual: $0)] ?? "?" })
            #expect(found == row, "\(String(describing: desired)) \(String(describing: base))")
        }
    }

    @Test func aRuleOnlyMattersWhereTheSecondaryHasMoved() {
        for policy in policies {
            each { desired, base, actual in
                let plain = FieldRule.decide(desired: desired, base: base, actual: actual)
                let decided = FieldRule.decide(desired: desired, base: base, actual: actual, policy: policy)
                let isTheirs = policy.decision == .secondary && policy.standing == .secondary
                let hasMoved =
                    switch actual {
                    case .unread: false
                    case .absent: base != nil
                    case .value(let value): base.map { $0 != value } ?? false
                    }
                let isEqual = actual == (desired.map { .value($0) } ?? .absent)
                switch policy.decision {
                case .primary: #expect(decided == plain)
                case _ where isTheirs: #expect(decided == (isEqual && desired == nil ? .nothing : .keep))
                case _ where hasMoved && !isEqual: #expect(decided == (policy.decision == .secondary ? .keep : .park))
                case _ where base != nil || isEqual || actual == .unread: #expect(decided == plain)
                default:
                    // No base: what is known of the thing tells whose the value is, and a conflict that stands is one.
                    let isConflict = desired != nil && (policy.standing != nil || actual != .absent && policy.knowledge != .ours)
                    #expect(decided == (isConflict ? (policy.decision == .secondary ? .keep : .park) : plain))
                }
            }
        }
    }

    @Test func whatIsInDoubtIsOurs() {
        for policy in policies where !(policy.decision == .secondary && policy.standing == .secondary) {
            each { desired, base, actual in
                let decided = FieldRule.decide(desired: desired, base: base, actual: actual, isInDoubt: true, policy: policy)
                #expect(decided == FieldRule.decide(desired: desired, base: base, actual: actual, isInDoubt: true))
                #expect(![.keep, .park, .overwrite].contains(decided))
            }
        }
    }

    @Test func whatIsWrittenOnceIsLeft() {
        for (decision, conflict) in [(ConflictDecision.park, FieldDecision.park), (.secondary, .keep)] {
            for base in Self.bases {
                func decide(_ actual: Actual) -> FieldDecision {
                    FieldRule.decideOnce(desired: Self.digests[0], base: base, actual: actual, decision: decision)
                }
                #expect(decide(.absent) == .write)
                #expect(decide(.value(Self.digests[0])) == .nothing)
                #expect(decide(.value(Self.digests[2])) == conflict)
                #expect(decide(.unread) == (base == nil ? .write : (base == Self.digests[0] ? .nothing : conflict)))
            }
        }
    }

    @Test func everyKindHasItsDecisions() {
        let table: [ConflictKind: [ConflictDecision]] = [
            .nameTaken: [.adopt, .rename, .park], .nameOfAnotherPair: [.rename, .park], .tag: [.primary, .secondary, .park],
            .description: [.primary, .secondary, .park], .experimentName: [.primary, .secondary, .park],
            .runName: [.primary, .secondary, .park], .runStatus: [.primary, .secondary, .park], .alias: [.primary, .secondary, .park],
            .stage: [.primary, .secondary, .park], .param: [.park, .secondary], .deletedOnSecondary: [.respect, .restore],
            .deletedOnPrimary: [.replicate, .keep], .purgedOnPrimary: [.keep, .replicate], .artifact: [.primary, .secondary, .park],
            .versionNumber: [.fill, .renumber, .park],
        ]
        for kind in ConflictKind.allCases {
            #expect(kind.allowed == table[kind])
            #expect(ConflictRules.standard.decision(kind, experiment: "e") == kind.allowed.first)
            let sealed = ConflictRules.sealed.decision(kind, model: "m")
            #expect(kind.allowed.contains(sealed))
            #expect(![.primary, .replicate, .restore].contains(sealed), "\(kind)")
        }
    }

    @Test func theLastOverrideThatSaysSomethingDecides() {
        let rules = ConflictRules(
            [.tag: .secondary],
            overrides: [
                .init(.experiment, "/a/**", [.tag: .park, .alias: .park]), .init(.experiment, "/a/b", [.tag: .primary]),
                .init(.model, "**", [.stage: .secondary]),
            ])
        #expect(rules.decision(.tag, experiment: "/a/b") == .primary)
        #expect(rules.decision(.alias, experiment: "/a/b") == .park)
        #expect(rules.decision(.tag, experiment: "/a/c") == .park)
        #expect(rules.decision(.tag, experiment: "/c") == .secondary)
        #expect(rules.decision(.stage, experiment: "/c") == .primary)
        #expect(rules.decision(.stage, model: "/a/b") == .secondary)
        #expect(rules.fingerprint != ConflictRules([.tag: .secondary], overrides: rules.overrides.reversed()).fingerprint)
    }

    @Test func whatPeopleDecideGoesBeforeRulesIfItCanBe() {
        let rules = ThingRules([.tag: .park], resolutions: ["tag:a": .secondary, "param:p": .primary])
        #expect(rules.decision(.tag, "tag:a") == .secondary)
        #expect(rules.decision(.tag, "tag:b") == .park)
        #expect(rules.decision(.param, "param:p") == .park, "a param cannot be written again")
    }

    // MARK: Histories

    private struct Random {
        var state: UInt64
        mutating func next(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(below))
        }
    }

    /// Edits of both sides in any order, and now and then a look: it is the same whenever it is done, a second one finds nothing to do,
    /// and what a rule says to leave is left.
    @Test(arguments: [ConflictDecision.primary, .secondary, .park]) func randomHistoriesConverge(decision: ConflictDecision) {
        let key = EntityKey.run(RunID("r"))
        for seed in 1...400 {
            var random = Random(state: UInt64(seed))
            var primary: [String: String] = [:]
            var secondary: [String: String] = [:]
            var base: Base? = Base()
            var rules = ThingRules([.tag: decision])
            // Fields that somebody has changed on the secondary since we wrote them there.
            var edited: Set<String> = []
            func plan() -> (TagPlan, Base) {
                var fields = Base()
                func tags(_ values: [String: String]) -> [Replication.Tag] {
                    values.sorted { $0.key < $1.key }.map { Replication.Tag($0.key, $0.value) }
                }
                let plan = TagPlan(
                    tags(primary), base: base, actual: tags(secondary), key: key, maximumLength: 100, rules: rules, fields: &fields)
                return (plan, fields)
            }
            for _ in 0..<30 {
                let name = "k\(random.next(3))"
                let value: String? = random.next(4) == 0 ? nil : "v\(random.next(3))"
                switch random.next(3) {
                case 0: primary[name] = value
                case 1:
                    if secondary[name] != value { edited.insert(name) }
                    secondary[name] = value
                default:
                    let (first, fields) = plan()
                    #expect(first == plan().0)
                    if decision != .primary {
                        for name in first.set.map(\.key) + first.delete where edited.contains(name) {
                            let was = base?[.tag(name)]
                            let now = secondary[name].map { FieldDigest($0) }
                            #expect(was == now, "seed \(seed): \(name) was edited, and is written over")
                        }
                    }
                    for tag in first.set { secondary[tag.key] = tag.value }
                    for name in first.delete { secondary[name] = nil }
                    base = fields
                    rules.standing = Dictionary(first.conflicts.map { (ExactName($0.field), $0.decision) }) { $1 }
                    edited.subtract(first.set.map(\.key) + first.delete)
                    let (second, after) = plan()
                    #expect(second.set.isEmpty && second.delete.isEmpty, "seed \(seed)")
                    #expect(after == fields)
                    if decision == .primary {
                        for (name, value) in primary { #expect(secondary[name] == value) }
                        #expect(second.conflicts.isEmpty)
                    } else {
                        #expect(second.conflicts == first.conflicts.map { $0 })
                    }
                    // Whatever differs is told of.
                    for (name, value) in primary where secondary[name] != value {
                        #expect(second.conflicts.contains { $0.field == "tag:\(name)" })
                    }
                }
            }
        }
    }
}
