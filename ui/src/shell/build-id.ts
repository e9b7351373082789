/** Replaced by build.ts, which fails if the bundle does not hold exactly this id afterwards. */
declare const __BUILD_ID__: string;

/** The build that this very script came from; "dev" when served unbuilt. */
export const BUILD_ID: string = typeof __BUILD_ID__ === "undefined" ? "dev" : __BUILD_ID__;
