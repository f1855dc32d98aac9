// Asks who the user is, as jsforce does: it reads the address of the identity
// service from the root of the API and follows it, with its access token in the
// URL. Prints the username.
//
// node identity.mjs PROXY-URL ACCESS-TOKEN
import jsforce from 'jsforce';

const [instanceUrl, accessToken] = process.argv.slice(2);
const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '60.0' });
console.log((await conn.identity()).username);
