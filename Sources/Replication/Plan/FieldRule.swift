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
    /// The secondary has another value for something that can only be written once.
    case park
}

public enum FieldRule {
    /// For a field that can be written again: the primary wins.
    ///
    /// - Parameter isInDoubt: an earlier attempt may have written it, and did not live to say so: what is there is ours.
    public static func decide(desired: FieldDigest?, base: FieldDigest?, actual: Actual, isInDoubt: Bool = false) -> FieldDecision {
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
    public static func decideOnce(desired: FieldDigest, base: FieldDigest?, actual: Actual) -> FieldDecision {
        switch actual {
        case .unread: base == nil ? .write : (base == desired ? .nothing : .park)
        case .absent: .write
        case .value(let value): value == desired ? .nothing : .park
        }
    }
}
