/// What the secondary shows for a field.
public enum Actual: Sendable, Hashable {
    /// Not asked: the base is trusted.
    case unread
    case absent
    case value(FieldDigest)
}

/// What to do with one field: base, primary now, secondary now.
public enum FieldDecision: Sendable, Hashable {
    case nothing
    case write
    /// The secondary moved away from the base; the primary's value is written over it.
    case overwrite
    case delete
    /// The secondary moved away, or has another value for something that can only be written once: left until someone decides.
    case park
    /// The secondary's value stays, and the field is not followed any more.
    case keep
}

/// What holds for one field.
public struct FieldPolicy: Sendable, Hashable {
    /// What is known of a value that the base does not have.
    public enum Knowledge: Sendable, Hashable, CaseIterable {
        /// The thing was made by us, and has no base yet: it is ours.
        case ours
        /// The thing has a base: it is somebody else's.
        case known
        /// The base was lost: nobody knows.
        case unknown
    }

    /// `primary`, `secondary` or `park`.
    public var decision: ConflictDecision
    /// What was decided of a conflict that was noted before.
    public var standing: ConflictDecision?
    public var knowledge: Knowledge
    /// What is there stays, whoever wrote it.
    public var isFinal = false
    /// That an earlier attempt may have written it is no reason to write over it.
    public var doubtIsNoLeave = false

    public init(decision: ConflictDecision = .primary, standing: ConflictDecision? = nil, knowledge: Knowledge = .ours) {
        self.decision = decision
        self.standing = standing
        self.knowledge = knowledge
    }
}

public enum FieldRule {
    /// For a field that can be written again.
    ///
    /// - Parameter isInDoubt: an earlier attempt may have written it, and did not live to say so: what is there is ours.
    public static func decide(
        desired: FieldDigest?, base: FieldDigest?, actual: Actual, isInDoubt: Bool = false, policy: FieldPolicy = FieldPolicy()
    ) -> FieldDecision {
        // Once it is the secondary's own it stays so, whatever either side does: but where neither has it, there is nothing to keep.
        if policy.decision == .secondary, policy.standing == .secondary, desired != nil || actual != .absent { return .keep }
        if policy.isFinal, case .value(let value) = actual {
            // What people have added there is nothing that the primary could have had.
            return value == desired || desired == nil && base == nil ? .nothing : .keep
        }
        let isInDoubt = isInDoubt && !policy.doubtIsNoLeave
        guard policy.decision != .primary, !isInDoubt, hasMoved(desired: desired, base: base, actual: actual, policy) else {
            return follow(desired: desired, base: base, actual: actual, isInDoubt: isInDoubt)
        }
        return policy.decision == .secondary ? .keep : .park
    }

    /// The secondary has something else than we left there, and than the primary has.
    private static func hasMoved(desired: FieldDigest?, base: FieldDigest?, actual: Actual, _ policy: FieldPolicy) -> Bool {
        switch (desired, actual) {
        case (_, .unread), (nil, .absent): false
        case (.some, .absent): base != nil || policy.standing != nil
        // What the primary does not have, and we never wrote, is no conflict.
        case (nil, .value(let value)): base != nil && value != base
        case (let desired?, .value(let value)):
            value != desired && (base.map { value != $0 } ?? (policy.standing != nil || policy.knowledge != .ours))
        }
    }

    /// The primary wins.
    private static func follow(desired: FieldDigest?, base: FieldDigest?, actual: Actual, isInDoubt: Bool) -> FieldDecision {
        if isInDoubt {
            switch (desired, actual) {
            case (let desired?, .value(let value)): return value == desired ? .nothing : .write
            case (.some, .absent), (.some, .unread): return .write
            case (nil, .absent): return .nothing
            case (nil, .value), (nil, .unread): return .delete
            }
        }
        switch (desired, actual) {
        case (let desired?, .unread): return desired == base ? .nothing : .write
        case (nil, .unread): return base == nil ? .nothing : .delete
        case (let desired?, .value(let value)):
            if value == desired { return .nothing }
            return base == nil || value == base ? .write : .overwrite
        case (let desired?, .absent): return base == desired ? .overwrite : .write
        case (nil, .value(let value)):
            // Without a base this is somebody else's: never touched.
            guard let base else { return .nothing }
            return value == base ? .delete : .nothing
        case (nil, .absent): return .nothing
        }
    }

    /// For a field that can be written once.
    ///
    /// - Parameter decision: `park` or `secondary`.
    public static func decideOnce(
        desired: FieldDigest, base: FieldDigest?, actual: Actual, decision: ConflictDecision = .park
    ) -> FieldDecision {
        let conflict: FieldDecision = decision == .secondary ? .keep : .park
        return switch actual {
        case .unread: base == nil ? .write : (base == desired ? .nothing : conflict)
        case .absent: .write
        case .value(let value): value == desired ? .nothing : conflict
        }
    }
}
