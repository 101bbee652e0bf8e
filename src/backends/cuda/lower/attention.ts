export const attention = (): never => {
  throw new Error('x');
};
export const attentionGrad = attention;
export const cachedAttention = attention;
