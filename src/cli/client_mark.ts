/**
 * The mark (SO_MARK) of sluice's own packets: policy routing and the kill switch
 * let them pass.
 */
export const CLIENT_MARK = 0x51c1;
