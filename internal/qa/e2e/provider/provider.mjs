// An identity provider on oidc-provider that keeps sessiond informed: docs/providers.md explains it part by part.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

// Where sessiond is, and its --audience.
const sessiond = process.env.SESSIOND_URL;
const audience = process.env.SESSIOND_AUDIENCE;
// What sessiond is called where access tokens are asked for: RFC 8707 wants a URI. The name in aud is the audience.
const resource = 'urn:example:sessiond';

const users = {
  ada: { tenant_id: 'acme', email: 'ada@example.com', name: 'Ada Lovelace' },
};

const clients = [{
  client_id: process.env.CLIENT_ID, // people sign in to it, and its logout tokens go to sessiond
  client_secret: process.env.CLIENT_SECRET,
  redirect_uris: [process.env.REDIRECT_URI],
  post_logout_redirect_uris: [process.env.POST_LOGOUT_REDIRECT_URI],
  backchannel_logout_uri: `${sessiond}/oauth2/backchannel-logout`,
  backchannel_logout_session_required: true, // a sid in ID, access and logout tokens
}, {
  client_id: 'idp', // the provider itself, when it calls sessiond
  client_secret: process.env.IDP_SECRET,
  grant_types: ['client_credentials'],
  scope: 'sessions:ingest sessions:introspect', // a service that only introspects has the second alone
  redirect_uris: [],
  response_types: [],
}];

const server = createServer();
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'key-1', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  ttl: { AccessToken: 300, ClientCredentials: 300, Grant: 3600, IdToken: 300, Interaction: 300, Session: 3600 },
  scopes: ['openid', 'sessions:ingest', 'sessions:introspect'],
  findAccount: (_, sub) => users[sub] && { accountId: sub, claims: () => ({ sub }) },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = `<!DOCTYPE html><title>Sign out</title>${form}
          <button form="op.logoutForm" name="logout" value="yes">Sign out</button>`;
      },
    },
    // Access tokens for sessiond are JWTs with typ at+jwt (RFC 9068) and its audience.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience, accessTokenFormat: 'jwt', scope: 'sessions:ingest sessions:introspect', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  // The claims by which sessiond knows a user's tenant and session; a client's own token has neither.
  extraTokenClaims: (_, token) => (token.accountId
    ? { tenant_id: users[token.accountId].tenant_id, sid: token.sid }
    : undefined),
  // No consent page: the clients are our own.
  loadExistingGrant: async (ctx) => {
    const { client, session, params } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
  interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
});

// The access token with which the provider calls sessiond, renewed a minute before it expires.
let own = { token: '', until: 0 };
async function ownToken() {
  if (Date.now() < own.until) return own.token;
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`idp:${process.env.IDP_SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'sessions:ingest', resource }),
  });
  if (!response.ok) throw new Error(`no token to call sessiond with: ${response.status} ${await response.text()}`);
  const { access_token: token, expires_in: seconds } = await response.json();
  own = { token, until: Date.now() + (seconds - 60) * 1000 };
  return token;
}

// Registering is part of signing in: a code is not handed out before sessiond knows the session. Another code of the same
// session registers it again, which changes nothing; one that was revoked at sessiond is refused there (409), and here.
provider.use(async (ctx, next) => {
  await next();
  const code = ctx.oidc?.entities.AuthorizationCode;
  if (!code || !['authorization', 'resume'].includes(ctx.oidc.route)) return;
  const { accountId, exp } = ctx.oidc.session;
  const response = await fetch(`${sessiond}/api/v1/lifecycle/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await ownToken()}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      id: code.sid,
      user_id: accountId,
      tenant_id: users[accountId].tenant_id,
      user_email: users[accountId].email,
      user_display_name: users[accountId].name,
      ip_address: ctx.ip,
      user_agent: ctx.get('user-agent').slice(0, 2048),
      expires_at: new Date(exp * 1000).toISOString(),
    }),
  });
  if (!response.ok) throw new Error(`sessiond does not take the session: ${response.status} ${await response.text()}`);
});

// Signing in. A real provider asks for a password or better here; this one takes the login_hint's word for it.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/login/')) return next();
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login: { accountId: params.login_hint } }));
});

provider.on('server_error', (_, error) => console.error(error));
provider.on('backchannel.error', (_, error) => console.error('sessiond has not taken the logout:', error.message, error.response?.body));

server.on('request', provider.callback());
process.stdin.on('end', () => process.exit()).resume(); // nobody is left to serve
console.log(JSON.stringify({ issuer }));
